// Owns: what tests share: what is left behind after them.  Must not: know what is tested.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
export const collect = runInNewContext('gc')

/** How much this process has open, without the pidfd and the groups of what has ended: the next start takes care of them. */
export function openFds() {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const what = readlinkSync(`/proc/self/fd/${fd}`)
      return what !== 'anon_inode:[pidfd]' && !/^\/sys\/fs\/cgroup\/.*\/pinfold-\d+-[\da-f]+-\d+(\/[\w.]+)?$/.test(what)
    } catch {
      // The folder's own.
      return false
    }
  }).length
}

/** The processes below this one. */
export function descendants(of = process.pid) {
  const parents = new Map()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (fields[0] !== 'Z') parents.set(Number(name), Number(fields[1]))
    } catch {
      // It has ended meanwhile.
    }
  }
  const found = []
  for (const [pid, parent] of parents) {
    let up = parent
    while (up > 1 && up !== of) up = parents.get(up) ?? 0
    if (up === of) found.push(pid)
  }
  return found
}

export function comm(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return null
  }
}

/** Milliseconds in which a payload starts and says something, and no more. An emulated machine takes its time. */
export const SOON = process.env.PINFOLD_EMULATED === undefined ? 300 : 8000

export async function eventually(what, holds) {
  const until = Date.now() + 30_000
  while (!(await holds())) {
    assert.ok(Date.now() < until, `not within 30 s: ${what}`)
    await sleep(5)
  }
}

/** A sandbox keeps some fds from its first start on, and one from its second. */
export async function warm(box) {
  for (let start = 0; start < 2; start++) await box.run(['true'])
}

/** Runs `what`, then sees to it that no process and no fd is left. Warm the sandboxes that live longer. */
export async function leavesNothing(what) {
  collect()
  await sleep(1)
  const before = openFds()
  await what()
  await eventually('all processes have ended', () => descendants().length === 0)
  await eventually(`no fd is left (${before} before)`, () => {
    collect()
    return openFds() <= before
  })
}
