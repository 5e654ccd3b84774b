// Owns: the public names, for `import`.  Must not: load anything a second time.
import pinfold from './index.js'

export const {
  AbortError, CommandFailed, Files, KeptRoot, Outcome, Pool, Process, RemoteError, Sandbox, SandboxError, Session, TimedOut,
  doctor, run, runModule, spawn,
} = pinfold
