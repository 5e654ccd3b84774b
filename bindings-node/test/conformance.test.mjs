// The cases that all front ends run, through Node: tests/cases/README.md in the checkout describes them. With PINFOLD_COMMAND, the
// path of the command line, every outcome is also compared with that of the library.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { Sandbox, SandboxError } from 'pinfold'
import { parse } from 'smol-toml'

const root = process.env.PINFOLD_DOCUMENTS ?? join(dirname(fileURLToPath(import.meta.url)), '../..')
const folder = join(root, 'tests/cases')
const NEEDS = {
  python3: () => existsSync('/usr/bin/python3'),
  groups: () => {
    const listed = existsSync('/sys/fs/cgroup/cgroup.controllers') ? readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8') : ''
    try {
      accessSync(/\bmemory\b/.test(listed) ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory', constants.W_OK)
      return true
    } catch {
      return false
    }
  },
  memory_overlay: () => {
    const [major, minor] = release().split(/[.-]/).map(Number)
    return major > 6 || (major === 6 && minor >= 6)
  },
}

/** Where a start takes longer than such a limit allows: scripts/elsewhere says so of its emulated machines. */
const tooSlowFor = (entry) => process.env.PINFOLD_EMULATED !== undefined && /\b\d+ms\b/.test(JSON.stringify([entry.config, entry.json, entry.options]))

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())

function layOut(entry, directory) {
  chmodSync(directory, 0o777)
  const make = (path) => {
    if (path === directory || existsSync(path)) return
    make(dirname(path))
    mkdirSync(path)
    chmodSync(path, 0o777)
  }
  for (const name of entry.dirs ?? []) make(join(directory, name))
  const files = { ...entry.files, ...(entry.config !== undefined && { 'config.toml': entry.config }), ...(entry.json !== undefined && { 'config.json': entry.json }) }
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name)
    make(dirname(path))
    writeFileSync(path, text.replaceAll('$DIR', directory))
    chmodSync(path, text.startsWith('#!') ? 0o777 : 0o666)
  }
  return entry.config !== undefined ? 'config.toml' : entry.json !== undefined ? 'config.json' : null
}

/** Shorthands as this language has them: camelCase, lists for those that add. */
function options(entry, directory) {
  const all = {}
  for (const [name, text] of entry.options ?? []) {
    const value = text.replaceAll('$DIR', directory)
    if (name === 'env' && value.includes('=')) {
      const [key, ...rest] = value.split('=')
      all.env = { ...all.env, [key]: rest.join('=') }
    } else if (['bind', 'ro_bind', 'tmpfs'].includes(name)) all[camel(name)] = [...(all[camel(name)] ?? []), value]
    else all[camel(name)] = value
  }
  return all
}

async function result(entry, directory, file) {
  try {
    const from = file === null ? new Sandbox() : Sandbox.fromFile(join(directory, file))
    const box = entry.options ? from.with(options(entry, directory)) : from
    if (entry.shows !== undefined) return { config: box.config }
    if (entry.command === undefined) return { built: true, report: box.report }
    const line = (words) => words.map((word) => word.replaceAll('$DIR', directory))
    if (entry.before === undefined) return told(await box.run(line(entry.command), { input: entry.stdin ?? '' }))
    const session = await box.open()
    try {
      for (const words of entry.before) await session.run(line(words), { check: true })
      const outcome = await session.run(line(entry.command), { input: entry.stdin ?? '' })
      return { ...told(outcome), ...(entry.changes && { changes: byKind(await session.changes()) }) }
    } finally {
      await session.close()
    }
  } catch (error) {
    assert.ok(error instanceof SandboxError, error.stack)
    return { error }
  }
}

const told = (outcome) => ({ ...outcome.toJSON(), stdout: outcome.text, stderr: outcome.stderrText, changes: byKind(outcome.changes()) })

/** The paths that were added, modified and deleted. */
function byKind(changes) {
  const paths = (kind) => changes.filter(({ change }) => change === kind).map(({ path }) => path)
  return changes && Object.fromEntries(['added', 'modified', 'deleted'].map((kind) => [kind, paths(kind)]))
}

function check(entry, found, directory) {
  if (entry.error !== undefined) {
    assert.equal(found.error?.kind, entry.error, JSON.stringify(found))
    const told = JSON.stringify({ ...found.error, message: found.error.message }).replaceAll(directory, '$DIR')
    for (const words of entry.says ?? []) assert.ok(told.includes(JSON.stringify(words).slice(1, -1)), `${words} in ${told}`)
    if (entry.problems?.length) assert.equal(found.error.problems.length, entry.problems.length, told)
    for (const [index, wanted] of (entry.problems ?? []).entries()) {
      const problem = found.error.problems[index]
      assert.equal(problem.key.replaceAll(directory, '$DIR'), wanted.key)
      assert.ok(problem.message.includes(wanted.says ?? ''), problem.message)
      assert.ok((problem.hint ?? '').includes(wanted.hint ?? ''), problem.hint)
      if (wanted.at) assert.match(problem.message, new RegExp(`config\\.toml:${wanted.at}\\)$`))
    }
    return
  }
  assert.equal(found.error, undefined, found.error?.stack)
  if (entry.shows !== undefined) return assert.deepEqual(stated(found.config), stated(parse(entry.shows)))
  const report = found.report
  assert.deepEqual(report.degradations.map(({ feature }) => feature), entry.weaker ?? [])
  for (const [feature, how] of Object.entries(entry.enforced ?? {})) assert.ok(report.enforced[feature]?.startsWith(how), `${feature}: ${report.enforced[feature]}`)
  if (entry.command === undefined) return
  const ended = entry.ended ?? (entry.signal ? 'signaled' : 'exited')
  assert.equal(found.ended, ended, `${found.detail} ${found.stderr}`)
  if (entry.signal) assert.equal(found.signal_name, entry.signal)
  else if (ended === 'exited') assert.equal(found.exit_code, entry.code ?? 0, found.stderr)
  assert.equal(found.stdout_truncated, entry.truncated ?? false)
  for (const stream of ['stdout', 'stderr']) {
    const text = found[stream].replaceAll(directory, '$DIR')
    const parts = entry[`${stream}_has`] ?? []
    if (entry[stream] !== undefined) assert.equal(text, entry[stream])
    else if (stream === 'stderr' && parts.length === 0) assert.equal(text, '')
    for (const part of parts) assert.ok(text.includes(part), `${part} in ${text}`)
  }
  for (const kind of entry.changes ? ['added', 'modified', 'deleted'] : []) assert.deepEqual(found.changes[kind], entry.changes[kind] ?? [], kind)
}

/** A config without what it does not say. */
function stated(value) {
  if (Array.isArray(value)) return value.map(stated)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, inner]) => [key, stated(inner)])
  return Object.fromEntries(entries.filter(([, inner]) => inner !== null && !(typeof inner === 'object' && Object.keys(inner).length === 0)))
}

/** What must be the same through the command and through Node. The command has a directory of its own, as it was at first. */
function compare(entry, found, mine) {
  const directory = mkdtempSync('/tmp/pinfold-case-')
  try {
    const file = layOut(entry, directory)
    const path = join(directory, '.report.json')
    const text = (value) => value.replaceAll('$DIR', directory)
    const all = ['run', '--quiet', '--report', path, ...(file ? ['--config', join(directory, file)] : [])]
    for (const [name, value] of entry.options ?? []) all.push(`--${name.replaceAll('_', '-')}=${text(value)}`)
    const ran = spawnSync(process.env.PINFOLD_COMMAND, [...all, '--', ...entry.command.map(text)], { input: entry.stdin ?? '' })
    const command = JSON.parse(readFileSync(path, 'utf8'))
    if (!command.error) Object.assign(command, { stdout: ran.stdout.toString(), stderr: ran.stderr.toString(), changes: byKind(command.changes) })
    assert.deepEqual(common(found, mine), common(command, directory))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Of an error its words and places, of an outcome all but times and usage. */
function common(result, directory) {
  const fields = ['ended', 'exit_code', 'signal', 'signal_name', 'ok', 'detail', 'report', 'stdout', 'stderr', 'changes']
  const of = (from, names) => Object.fromEntries(names.map((name) => [name, from[name] ?? null]))
  const { error } = result
  // The message of an Error goes on with the problems.
  const told = error ? { ...of(error, ['kind', 'errno', 'origin', 'stage', 'step', 'subject', 'hint']), problems: error.problems ?? [], message: error.message.split('\n')[0] } : of(result, fields)
  return JSON.parse(JSON.stringify(told).replaceAll(directory, '$DIR'))
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.toml'))) {
  for (const entry of parse(readFileSync(join(folder, file), 'utf8')).case) {
    const user = process.getuid() === 0 ? 'root' : 'user'
    const fits = (entry.user ?? user) === user && (entry.needs ?? []).every((need) => NEEDS[need]()) && !tooSlowFor(entry)
    // There is no --set here: its cases are others' to run.
    test(`${file.replace('.toml', '')}/${entry.name}`, { skip: !fits || entry.set !== undefined }, async (t) => {
      const directory = mkdtempSync('/tmp/pinfold-case-')
      t.after(() => rmSync(directory, { recursive: true, force: true }))
      const config = layOut(entry, directory)
      const found = await result(entry, directory, config)
      // A config without its sandbox is not to be had here, and this host can't build every one.
      const unbuilt = entry.shows !== undefined && ['unsupported', 'setup'].includes(found.error?.kind)
      if (unbuilt) return t.skip(found.error.message)
      check(entry, found, directory)
      // One call of the command is one sandbox.
      if (process.env.PINFOLD_COMMAND && entry.command !== undefined && entry.shows === undefined && entry.before === undefined) compare(entry, found, directory)
    })
  }
}
