// Owns: one host of bench/spawn.mjs: a process with so many megabytes touched, which does each case when asked.
// Must not: tell of a run that was no success.
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox } from '../index.mjs'

const touched = Array.from({ length: Number(process.argv[2]) }, () => Buffer.alloc(1 << 20, 1))
const TRUE = '/bin/true'
const PIPES = { stdio: ['ignore', 'pipe', 'pipe'] }

/** Rejects unless it exited with 0. */
async function well(name, { ok, detail }) {
  if (!ok) throw new Error(`${name} did not run ${TRUE}: ${detail}`)
}

function ended(child) {
  const how = (code, signal) => ({ ok: code === 0, detail: signal ?? `exited with ${code}` })
  return new Promise((resolve, reject) => child.once('close', (code, signal) => resolve(how(code, signal))).once('error', reject))
}

async function sandboxRuntime() {
  // It asks for Node 22.12: what it says where it finds none is in the table.
  const { SandboxManager } = await import('@anthropic-ai/sandbox-runtime')
  await SandboxManager.initialize({ network: { allowedDomains: [], deniedDomains: [] }, filesystem: { denyRead: [], allowWrite: ['/tmp'], denyWrite: [] } })
  return async () => ended(spawn(await SandboxManager.wrapWithSandbox(TRUE), { ...PIPES, shell: true }))
}

const box = new Sandbox()
const session = await box.open()
/** What runs it once, and in how many rounds of ten. */
const cases = {
  'child_process.spawn': { share: 1, run: () => ended(spawn(TRUE, PIPES)) },
  'pinfold, a fresh sandbox': { share: 1, run: () => box.run([TRUE]) },
  'pinfold, in a session': { share: 1, run: () => session.run([TRUE]) },
}
const missing = {}
const RIVAL = 'sandbox-runtime (npm)'
try {
  const run = await sandboxRuntime()
  await well(RIVAL, await run())
  cases[RIVAL] = { share: 10, run }
} catch (error) {
  missing[RIVAL] = error.message.split('\n')[0]
}

process.on('message', async (what) => {
  if (what === null) process.exit()
  await sleep(what.pause)
  const begun = performance.now()
  const outcome = await cases[what.name].run()
  const took = performance.now() - begun
  await well(what.name, outcome)
  process.send(took)
})
process.send({ cases: Object.entries(cases).map(([name, { share }]) => ({ name, share })), missing, megabytes: touched.length })
