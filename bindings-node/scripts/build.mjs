// Owns: building the native part for one platform, and putting it where lib/native.js finds it.
// usage: node scripts/build.mjs [--debug] [--target aarch64-unknown-linux-musl]
import { execFileSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { GLIBC, PLATFORMS, here, host, zigbuild } from './platforms.mjs'

/** Builds it. With zig, where it is there: for the oldest C library that Node itself runs on. */
export function build(triple, debug = false) {
  const name = PLATFORMS[triple]
  if (name === undefined) throw new Error(`${triple} is none of ${Object.keys(PLATFORMS).join(', ')}`)
  const zig = zigbuild() && !debug
  const named = zig || triple !== host()
  const arguments_ = [zig ? 'zigbuild' : 'build', '--locked', '--package', 'pinfold-node']
  if (!debug) arguments_.push('--release')
  if (named) arguments_.push('--target', zig && triple.endsWith('-gnu') ? `${triple}.${GLIBC}` : triple)
  // A musl target is linked statically unless it is told that a module is wanted.
  const env = triple.endsWith('-musl') ? { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C target-feature=-crt-static` } : process.env
  const root = join(here, '..')
  execFileSync('cargo', arguments_, { cwd: root, env, stdio: 'inherit' })
  const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
  const built = join(target, ...(named ? [triple] : []), debug ? 'debug' : 'release', 'libpinfold_node.so')
  copyFileSync(built, join(here, `pinfold.${name}.node`))
  console.log(`pinfold.${name}.node`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { debug: { type: 'boolean' }, target: { type: 'string' } } })
  build(values.target ?? host(), values.debug)
}
