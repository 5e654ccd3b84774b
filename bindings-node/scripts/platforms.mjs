// Owns: which platforms there are, by Rust's name and by that of the platform package, and what it takes to build for one.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PLATFORMS = {
  'x86_64-unknown-linux-gnu': 'linux-x64-gnu',
  'x86_64-unknown-linux-musl': 'linux-x64-musl',
  'aarch64-unknown-linux-gnu': 'linux-arm64-gnu',
  'aarch64-unknown-linux-musl': 'linux-arm64-musl',
}

/** The oldest glibc that Node 20 runs on. */
export const GLIBC = '2.28'

/** bindings-node. */
export const here = dirname(dirname(fileURLToPath(import.meta.url)))

/** Rust's name of the platform that this runs on. */
export function host() {
  const libc = process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'
  return `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-${libc}`
}

/** Whether there is a linker for every platform: `pip install cargo-zigbuild ziglang`. */
export function zigbuild() {
  try {
    execFileSync('cargo-zigbuild', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Why the native part can't be built for it here; null where it can. */
export function obstacle(triple) {
  if (!hasStandardLibrary(triple)) return `rustc has no standard library for it (rustup target add ${triple}; where rustup has none, scripts/toolchain)`
  const linker = `CARGO_TARGET_${triple.toUpperCase().replaceAll('-', '_')}_LINKER`
  if (triple === host() || zigbuild() || process.env[linker]) return null
  return `there is no linker for it (pip install cargo-zigbuild ziglang, or set ${linker})`
}

function hasStandardLibrary(triple) {
  const rustc = process.env.RUSTC ?? 'rustc'
  const folder = execFileSync(rustc, ['--print', 'target-libdir', '--target', triple], { encoding: 'utf8' }).trim()
  try {
    return readdirSync(folder).some((name) => /^libstd-.*\.rlib$/.test(name))
  } catch {
    return false
  }
}
