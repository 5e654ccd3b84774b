// Owns: the packages as they are published: `pinfold`, and one for each platform that was built.
// usage: node scripts/pack.mjs FOLDER      (after scripts/build.mjs, once for each target)
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { PLATFORMS, here } from './platforms.mjs'

const folder = resolve(process.argv[2] ?? '.')
const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const stage = mkdtempSync(join(tmpdir(), 'pinfold-pack-'))

function pack(name, contents) {
  writeFileSync(join(stage, name, 'package.json'), `${JSON.stringify(contents, null, 2)}\n`)
  for (const license of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(join(here, '..', license), join(stage, name, license))
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: join(stage, name), stdio: ['ignore', 'inherit', 'inherit'] })
}

try {
  mkdirSync(folder, { recursive: true })
  const built = Object.entries(PLATFORMS).filter(([, name]) => existsSync(join(here, `pinfold.${name}.node`)))
  if (built.length === 0) throw new Error('nothing is built: node scripts/build.mjs')
  for (const [triple, name] of Object.entries(PLATFORMS)) {
    if (existsSync(join(here, `pinfold.${name}.node`))) continue
    console.error(`not packed, because it was not built: ${name} (node scripts/build.mjs --target ${triple}; it needs that target's standard library: rustup target add ${triple})`)
  }
  for (const [, name] of built) {
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
  const platforms = Object.fromEntries(built.map(([, name]) => [`pinfold-${name}`, manifest.version]))
  pack('pinfold', { ...published, optionalDependencies: platforms })
} finally {
  rmSync(stage, { recursive: true })
}
