// Owns: how long a call takes with payloads that do not want to end (test/payloads.mjs) and a timeout of a second. A wrong reason is an error.
// usage: node bench/nasty.mjs [ROUNDS]
import { PAYLOADS, box, check } from '../test/payloads.mjs'

const ROUNDS = Number(process.argv[2] ?? 3)

let worst = 0
for (const [name, payload] of Object.entries(PAYLOADS)) {
  const own = payload.box ?? box
  await own.run(['true'])
  const all = []
  let detail
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now()
    const outcome = await own.run(payload.argv, payload.call)
    all.push((performance.now() - begun) / 1000)
    check(payload, outcome)
    detail = outcome.detail
  }
  worst = Math.max(worst, ...all)
  console.log(`${name.padEnd(50)} ${Math.min(...all).toFixed(3)} to ${Math.max(...all).toFixed(3)} s  ${detail}`)
}
console.log(`\nworst ${worst.toFixed(3)} s of 1.1 s`)
