// Where no native part fits this machine, loading says which package is missing and what to type.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

const OWN = `${process.arch}-${process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'}`
const here = fileURLToPath(new URL('.', import.meta.url))

/** What loading says on another machine. */
function loading(platform, arch, glibc) {
  const script = `
    for (const [name, value] of Object.entries({ platform: '${platform}', arch: '${arch}' })) Object.defineProperty(process, name, { value })
    process.report.getReport = () => ({ header: ${glibc ? "{ glibcVersionRuntime: '2.36' }" : '{}'} })
    try { require('pinfold') } catch (error) { console.log(error.code, error.message) }`
  return spawnSync(process.execPath, ['-e', script], { cwd: here, encoding: 'utf8' }).stdout
}

test('a platform package that is not installed', () => {
  const all = [['x64', true, 'x64-gnu'], ['x64', false, 'x64-musl'], ['arm64', true, 'arm64-gnu'], ['arm64', false, 'arm64-musl']]
  // This machine's own is.
  const others = all.filter(([, , name]) => name !== OWN)
  assert.ok(others.length === 3)
  for (const [arch, glibc, name] of others) {
    assert.match(loading('linux', arch, glibc), new RegExp(`^ERR_PINFOLD_NO_BINARY .*pinfold-linux-${name}\\b.*npm install pinfold-linux-${name}\\b`))
  }
})

test('a machine that none is made for', () => {
  assert.match(loading('linux', 'riscv64', true), /^ERR_PINFOLD_NO_BINARY .*pinfold-linux-riscv64-gnu\b.*there is none.*x64 and arm64/)
})

test('another system', () => {
  for (const [platform, arch] of [['darwin', 'arm64'], ['win32', 'x64']]) {
    const said = loading(platform, arch, false)
    assert.match(said, new RegExp(`^ERR_PINFOLD_NO_BINARY .*pinfold-${platform}-${arch}\\b`))
    assert.match(said, /runs on Linux.*docker run .*node/)
  }
})
