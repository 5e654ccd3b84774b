// Owns: the start and end of a static program from Node, side by side in one run: README.md here says how to read it.
// usage: node bench/spawn.mjs [ROUNDS]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'

const ROUNDS = Number(process.argv[2] ?? 100)
const PAUSE_MS = 50
const HOSTS = { small: 0, '700 MB': 700 }
/** What a start may cost from the large host, against the small one. */
const HOST_RATIO = 1.2
const FLOOR = 'child_process.spawn'

const hosts = {}
const missing = {}
for (const [name, megabytes] of Object.entries(HOSTS)) {
  const child = fork(new URL('./host.mjs', import.meta.url), [String(megabytes)])
  child.once('exit', (code) => code !== 0 && process.exit(1))
  const [told] = await once(child, 'message')
  hosts[name] = { child, cases: told.cases }
  Object.assign(missing, told.missing)
}

async function ask({ child }, what) {
  child.send(what)
  const [took] = await once(child, 'message')
  return took
}

const results = {}
for (const pause of [0, PAUSE_MS]) {
  // Round after round, every case once in each host: what slows the machine down slows all. The first is not counted.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [host, { cases }] of Object.entries(hosts)) {
      for (const { name, share } of cases.filter(({ name }) => !(name in missing))) {
        if (round % share !== 0) continue
        const took = await ask(hosts[host], { name, pause })
        if (round > 0) ((results[name] ??= {})[`${host}${pause ? ', after a pause' : ''}`] ??= []).push(took)
      }
    }
  }
}
for (const { child } of Object.values(hosts)) child.send(null)

const columns = Object.keys(HOSTS).flatMap((host) => [host, `${host}, after a pause`])
const of = (name, column, share = 0.5) => results[name][column].sort((a, b) => a - b)[Math.floor(results[name][column].length * share)]
const cell = (name, column) => `${of(name, column).toFixed(2)} [${of(name, column, 0.1).toFixed(2)} - ${of(name, column, 0.9).toFixed(2)}]`
const line = (cells) => console.log(cells.map((cell, index) => cell.padEnd(28)).join(''))

console.log(`milliseconds: median [a tenth is below - a tenth is above] of ${ROUNDS} rounds, ${cpus().length} CPUs, Node ${process.version}`)
line(['', ...columns])
for (const name of Object.keys(results)) line([name, ...columns.map((column) => cell(name, column))])
for (const [name, why] of Object.entries(missing)) line([name, `not measured: ${why}`])
for (const name of Object.keys(results)) {
  const grows = of(name, '700 MB') / of(name, 'small')
  if (name.startsWith('pinfold') && grows >= HOST_RATIO) {
    console.log(`${name}: a host of 700 MB must cost less than ${HOST_RATIO} times a small one`)
    process.exitCode = 1
  }
  const ratios = [`700 MB / small = ${grows.toFixed(2)}`]
  if (name !== FLOOR) ratios.push(...columns.map((column) => `/ ${FLOOR}, ${column} = ${(of(name, column) / of(FLOOR, column)).toFixed(2)}`))
  console.log(`${name}: ${ratios.join('; ')}`)
}
