// Owns: the start and end of a static program from Node, side by side in one run: README.md here says how to read it.
// usage: node bench/spawn.mjs [ROUNDS]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'

const ROUNDS = Number(process.argv[2] ?? 100)
const PAUSE_MS = 50
const HOSTS = { small: 0, '700 MB': 700 }

const hosts = {}
for (const [name, megabytes] of Object.entries(HOSTS)) {
  const child = fork(new URL('./host.mjs', import.meta.url), [String(megabytes)])
  const [cases] = await once(child, 'message')
  hosts[name] = { child, cases }
}

async function ask({ child }, what) {
  child.send(what)
  const [took] = await once(child, 'message')
  return took
}

const median = (all) => all.sort((a, b) => a - b)[all.length >> 1]
const results = {}
for (const pause of [0, PAUSE_MS]) {
  // Round after round, every case once in each host: what slows the machine down slows all.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [host, { cases }] of Object.entries(hosts)) {
      for (const { name, share } of cases) {
        if (round % share !== 0) continue
        const took = await ask(hosts[host], { name, pause })
        if (round > 0 || share > 1) ((results[name] ??= {})[`${host}${pause ? ', after a pause' : ''}`] ??= []).push(took)
      }
    }
  }
}
for (const { child } of Object.values(hosts)) child.send(null)

console.log(`median milliseconds of ${ROUNDS} rounds, ${cpus().length} CPUs, Node ${process.version}`)
const columns = Object.keys(HOSTS).flatMap((host) => [host, `${host}, after a pause`])
const rows = Object.entries(results).map(([name, by]) => [name, ...columns.map((column) => (by[column] ? median(by[column]).toFixed(2) : '-'))])
for (const row of [['', ...columns], ...rows]) console.log(row.map((cell, index) => cell.padEnd(index === 0 ? 38 : 24)).join(''))
const of = (name, column) => median(results[name][column])
for (const name of Object.keys(results)) {
  if (results[name]['700 MB'] && results[name].small) console.log(`${name}: 700 MB / small = ${(of(name, '700 MB') / of(name, 'small')).toFixed(2)}`)
}
for (const name of Object.keys(results).filter((name) => name !== 'child_process.spawn')) console.log(`${name} / child_process.spawn, small: ${(of(name, 'small') / of('child_process.spawn', 'small')).toFixed(2)}`)
