// Owns: building the native part for one platform, and putting it where lib/native.js finds it.
// usage: node scripts/build.mjs [--debug] [--target aarch64-unknown-linux-musl]
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { PLATFORMS, here, host } from './platforms.mjs'

const { values } = parseArgs({ options: { debug: { type: 'boolean' }, target: { type: 'string' } } })
const triple = values.target ?? host()
const name = PLATFORMS[triple]
if (name === undefined) throw new Error(`${triple} is none of ${Object.keys(PLATFORMS).join(', ')}`)

const root = join(here, '..')
const profile = values.debug ? 'debug' : 'release'
const arguments_ = ['build', '--locked', '--package', 'pinfold-node']
if (!values.debug) arguments_.push('--release')
if (values.target) arguments_.push('--target', triple)
// A musl target is linked statically unless it is told that a module is wanted.
const env = triple.endsWith('-musl') ? { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C target-feature=-crt-static` } : process.env
execFileSync('cargo', arguments_, { cwd: root, env, stdio: 'inherit' })

const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
const built = join(target, ...(values.target ? [triple] : []), profile, 'libpinfold_node.so')
mkdirSync(here, { recursive: true })
copyFileSync(built, join(here, `pinfold.${name}.node`))
console.log(`pinfold.${name}.node`)
