// Owns: finding the native part for this machine.  Must not: fall back to anything weaker.
'use strict'

const { existsSync } = require('node:fs')
const { join } = require('node:path')

/** `linux-x64-gnu`, as the platform packages are called. */
function platform() {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`
  const { header } = withoutNetwork(() => process.report.getReport())
  return `linux-${process.arch}-${header.glibcVersionRuntime ? 'gnu' : 'musl'}`
}

/** A report looks its sockets' peers up, unless it is told not to. */
function withoutNetwork(report) {
  const before = process.report.excludeNetwork
  process.report.excludeNetwork = true
  try {
    return report()
  } finally {
    process.report.excludeNetwork = before
  }
}

/** What to type. */
function advice(name) {
  if (!name.startsWith('linux-')) {
    const image = `node:${process.versions.node.split('.')[0]}`
    return `there is none: Pinfold runs on Linux. Use a virtual machine, or a container that may make namespaces: docker run --rm --privileged -v "$PWD:/app" -w /app ${image} npm test`
  }
  if (!/-(x64|arm64)-/.test(name)) return 'there is none: Pinfold is written for x64 and arm64'
  return `install it with: npm install pinfold-${name} (npm leaves it out with --omit=optional, or when node_modules was copied from another kind of machine)`
}

function load() {
  const name = platform()
  const local = join(__dirname, '..', `pinfold.${name}.node`)
  if (existsSync(local)) return require(local)
  try {
    return require(`pinfold-${name}`)
  } catch (cause) {
    const missing = cause.code === 'MODULE_NOT_FOUND'
    const error = new Error(
      missing ? `the package pinfold-${name}, which holds Pinfold's native part, is not installed; ${advice(name)}`
        : `the native part of Pinfold, pinfold-${name}, can't be loaded: ${cause.message}`,
      { cause },
    )
    error.code = 'ERR_PINFOLD_NO_BINARY'
    throw error
  }
}

module.exports = { native: load(), withoutNetwork }
