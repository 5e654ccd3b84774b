// Where no native part fits this machine, loading says which package is missing and what to type.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

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
  assert.match(loading('linux', 'arm64', true), /^ERR_PINFOLD_NO_BINARY .*pinfold-linux-arm64-gnu\b.*npm install pinfold-linux-arm64-gnu\b/)
  assert.match(loading('linux', 'arm64', false), /npm install pinfold-linux-arm64-musl\b/)
  assert.match(loading('linux', 'x64', false), /npm install pinfold-linux-x64-musl\b/)
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
