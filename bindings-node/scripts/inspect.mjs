// Owns: what every packed native part must be: for that machine, linked with that C library and nothing else, small, and for a glibc as old
// as Node 20's own. For packages that were linked with zig: another linker takes the C library of its machine.
// usage: node scripts/inspect.mjs FOLDER      needs readelf
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { GLIBC, PLATFORMS } from './platforms.mjs'

const MACHINES = { x64: /X86-64/, arm64: /AArch64/ }
/** Parts of the C library. musl's loader takes each of them for itself, whatever it is called. */
const LIBRARIES = { gnu: /^(lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux-[\w-]+\.so\.\d|libgcc_s\.so\.1)$/, musl: /^libc\.so$/ }
const SIZE = 8 << 20

const folder = resolve(process.argv[2] ?? '.')
const stage = mkdtempSync(join(tmpdir(), 'pinfold-inspect-'))

function read(binary) {
  return execFileSync('readelf', ['--wide', '--file-header', '--dynamic', '--version-info', '--program-headers', binary], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'inherit'] })
}

const newest = (versions) => versions.map((version) => version.split('.').map(Number)).sort(([a, b], [c, d]) => a - c || b - d).at(-1)?.join('.')

try {
  for (const name of Object.values(PLATFORMS)) {
    const [, cpu, libc] = name.split('-')
    const archive = readdirSync(folder).find((file) => file.startsWith(`pinfold-${name}-`))
    if (archive === undefined) {
      console.log(`${name}: was not packed`)
      continue
    }
    execFileSync('tar', ['-xzf', join(folder, archive), '-C', stage, `package/pinfold.${name}.node`])
    const binary = join(stage, `package/pinfold.${name}.node`)
    const told = read(binary)
    const needed = [...told.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library)
    const glibc = newest([...told.matchAll(/Name: GLIBC_(\d+\.\d+)/g)].map(([, version]) => version))
    const { size } = statSync(binary)
    console.log(`${name}: ${size} bytes, needs ${needed.join(', ')}${glibc ? `, glibc ${glibc}` : ''}`)
    assert.match(told, MACHINES[cpu])
    for (const library of needed) assert.match(library, LIBRARIES[libc])
    assert.doesNotMatch(told, /\((RPATH|RUNPATH|TEXTREL)\)/)
    assert.match(told, /GNU_STACK .* RW /)
    assert.ok(size < SIZE, `more than ${SIZE} bytes`)
    if (libc === 'musl') assert.equal(glibc, undefined)
    else assert.equal(newest([glibc, GLIBC]), GLIBC, `more than glibc ${GLIBC}`)
  }
} finally {
  rmSync(stage, { recursive: true })
}
