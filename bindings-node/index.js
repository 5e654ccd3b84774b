// Owns: the public names.  Must not: do anything.
'use strict'

const { AbortError, CommandFailed, RemoteError, SandboxError, TimedOut } = require('./lib/errors.js')
const { Files, KeptRoot } = require('./lib/files.js')
const { Outcome } = require('./lib/outcome.js')
const { Pool } = require('./lib/pool.js')
const { Process } = require('./lib/process.js')
const { runModule } = require('./lib/run-module.js')
const { Sandbox, Session, doctor, run, spawn } = require('./lib/sandbox.js')

exports.AbortError = AbortError
exports.CommandFailed = CommandFailed
exports.Files = Files
exports.KeptRoot = KeptRoot
exports.Outcome = Outcome
exports.Pool = Pool
exports.Process = Process
exports.RemoteError = RemoteError
exports.Sandbox = Sandbox
exports.SandboxError = SandboxError
exports.Session = Session
exports.TimedOut = TimedOut
exports.doctor = doctor
exports.run = run
exports.runModule = runModule
exports.spawn = spawn
