// Owns: the packages as they are published: `pinfold`, and one for each platform that can be built for here.
// usage: node scripts/pack.mjs [--debug] FOLDER      builds and packs; --debug: for this machine alone, and unoptimized
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { build } from './build.mjs'
import { PLATFORMS, here, host, obstacle } from './platforms.mjs'

const { values: { debug }, positionals: [out] } = parseArgs({ options: { debug: { type: 'boolean' } }, allowPositionals: true })
const folder = resolve(out ?? '.')
const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const stage = mkdtempSync(join(tmpdir(), 'pinfold-pack-'))

function pack(name, contents) {
  writeFileSync(join(stage, name, 'package.json'), `${JSON.stringify(contents, null, 2)}\n`)
  for (const license of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(join(here, '..', license), join(stage, name, license))
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: join(stage, name), stdio: ['ignore', 'inherit', 'inherit'] })
}

/** The names of the platforms that it was built for. What is left out is said. */
function buildAll() {
  const names = []
  for (const [triple, name] of Object.entries(PLATFORMS)) {
    const why = debug && triple !== host() ? 'only this machine is built for with --debug' : obstacle(triple)
    if (why === null) {
      build(triple, debug)
      names.push(name)
    } else console.error(`left out: pinfold-${name}: ${why}`)
  }
  if (names.length === 0) throw new Error('nothing could be built')
  return names
}

try {
  mkdirSync(folder, { recursive: true })
  const built = buildAll()
  for (const name of built) {
    const [os, cpu, libc] = name.split('-')
    const binary = `pinfold.${name}.node`
    mkdirSync(join(stage, name))
    copyFileSync(join(here, binary), join(stage, name, binary))
    writeFileSync(join(stage, name, 'README.md'), `The native part of [pinfold](https://www.npmjs.com/package/pinfold) for ${name}.\n`)
    const { version, license, repository, engines } = manifest
    pack(name, {
      name: `pinfold-${name}`, version, description: `The native part of pinfold for ${name}`, license, repository, engines,
      os: [os], cpu: [cpu], libc: [libc === 'gnu' ? 'glibc' : 'musl'], main: binary, files: [binary],
    })
  }
  mkdirSync(join(stage, 'pinfold'))
  for (const file of manifest.files) cpSync(join(here, file), join(stage, 'pinfold', file), { recursive: true })
  copyFileSync(join(here, 'README.md'), join(stage, 'pinfold', 'README.md'))
  const { scripts, devDependencies, ...published } = manifest
  const platforms = Object.fromEntries(built.map((name) => [`pinfold-${name}`, manifest.version]))
  pack('pinfold', { ...published, optionalDependencies: platforms })
} finally {
  rmSync(stage, { recursive: true })
}
