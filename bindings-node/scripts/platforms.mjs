// Owns: which platforms there are, by Rust's name and by that of the platform package.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PLATFORMS = {
  'x86_64-unknown-linux-gnu': 'linux-x64-gnu',
  'x86_64-unknown-linux-musl': 'linux-x64-musl',
  'aarch64-unknown-linux-gnu': 'linux-arm64-gnu',
  'aarch64-unknown-linux-musl': 'linux-arm64-musl',
}

/** bindings-node. */
export const here = dirname(dirname(fileURLToPath(import.meta.url)))

/** Rust's name of the platform that this runs on. */
export function host() {
  const libc = process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'
  return `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-${libc}`
}
