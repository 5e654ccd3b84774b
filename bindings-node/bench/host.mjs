// Owns: one host of bench/spawn.mjs: a process with so many megabytes touched, which does each case when asked.
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox } from '../index.mjs'

const touched = Array.from({ length: Number(process.argv[2]) }, () => Buffer.alloc(1 << 20, 1))
const ended = (child) => new Promise((resolve, reject) => child.once('close', resolve).once('error', reject))
const PIPES = { stdio: ['ignore', 'pipe', 'pipe'] }

const box = new Sandbox()
const session = await box.open()
const cases = {
  'child_process.spawn': { share: 1, run: () => ended(spawn('/bin/true', PIPES)) },
  'pinfold, a fresh sandbox': { share: 1, run: () => box.run(['/bin/true']) },
  'pinfold, in a session': { share: 1, run: () => session.run(['/bin/true']) },
}
try {
  const { SandboxManager } = await import('@anthropic-ai/sandbox-runtime')
  await SandboxManager.initialize({ network: { allowedDomains: [], deniedDomains: [] }, filesystem: { denyRead: [], allowWrite: ['/tmp'], denyWrite: [] } })
  const wrapped = async () => ended(spawn(await SandboxManager.wrapWithSandbox('/bin/true'), { ...PIPES, shell: true }))
  if ((await wrapped()) !== 0) throw new Error('it can not run /bin/true here')
  cases['sandbox-runtime (npm)'] = { share: 10, run: wrapped }
} catch (error) {
  if (touched.length === 0) console.error(`without sandbox-runtime: ${error.message.split('\n')[0]}`)
}

process.on('message', async (what) => {
  if (what === null) process.exit(0)
  await sleep(what.pause)
  const begun = performance.now()
  await cases[what.name].run()
  process.send(performance.now() - begun)
})
process.send(Object.entries(cases).map(([name, { share }]) => ({ name, share })))
