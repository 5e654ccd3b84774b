// Owns: what a fresh Node inside does with the source it is sent. It runs on the guest's side: nothing of it is trusted.
// Must not: be needed for containment. The sandbox is the wall; a guest may take this apart.
import { readFileSync, writeFileSync, writeSync, closeSync } from 'node:fs'

const RESULT = 3
const { source, input } = JSON.parse(readFileSync(0, 'utf8'))
const stringify = JSON.stringify
const exit = process.exit.bind(process)

function answer(message) {
  let bytes = Buffer.from(message)
  while (bytes.length > 0) bytes = bytes.subarray(writeSync(RESULT, bytes))
  closeSync(RESULT)
}

function asData(error) {
  if (error !== null && typeof error === 'object') {
    return { name: String(error.name ?? 'Error'), message: String(error.message ?? ''), stack: String(error.stack ?? '') }
  }
  return { name: 'Error', message: String(error), stack: '' }
}

function fail(error) {
  let data
  try {
    data = asData(error)
  } catch {
    data = { name: 'Error', message: 'what was thrown could not be read', stack: '' }
  }
  answer(stringify({ error: data }))
  exit(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)

try {
  const file = `${process.env.HOME ?? '/tmp'}/module.mjs`
  writeFileSync(file, source)
  const module = await import(file)
  const main = module.default
  const value = await (typeof main === 'function' ? main(input) : main)
  answer(stringify({ value }))
  exit(0)
} catch (error) {
  fail(error)
}
