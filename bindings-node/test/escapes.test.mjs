// Known ways out of JavaScript sandboxes that live inside the host's process, tried in `runModule`: they reach the guest's
// own Node, and nothing of the host's. The host goes on answering meanwhile.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { after, before, test } from 'node:test'

import { runModule } from 'pinfold'
import { leavesNothing } from './kit.mjs'

const SECRET = `secret-${process.pid}-${Math.random().toString(36).slice(2)}`
/** The one native addon that is surely here. */
const addon = process.report.getReport().sharedObjects.find((path) => path.endsWith('.node'))
let folder
let server
let answered = 0

before(async () => {
  await runModule('', { timeoutMs: 20_000 })
  process.env.PINFOLD_TEST_SECRET = SECRET
  globalThis.secret = SECRET
  folder = mkdtempSync('/tmp/pinfold-node-')
  writeFileSync(`${folder}/secret`, SECRET)
  server = createServer((request, response) => response.end(SECRET))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
})

after(() => {
  server.close()
  rmSync(folder, { recursive: true })
})

const ADDON = '/addon.node'

/** Bodies of an async function; `host` says where the host's things are. What it returns must not hold the secret; EXPECTED says more of some. */
const CORPUS = {
  'the constructor chain': 'return this?.constructor?.constructor?.("return process.env")?.() ?? Function("return process.env")()',
  'the constructor of a thrown error': 'try { null.x } catch (error) { return error.constructor.constructor("return process.env.PINFOLD_TEST_SECRET")() ?? null }',
  'prepareStackTrace': 'Error.prepareStackTrace = (error, frames) => frames.map((frame) => String(frame.getThis?.()?.secret)); return new Error().stack',
  'prototype pollution': 'Object.prototype.polluted = 1; Array.prototype.map = () => "x"; JSON.stringify = () => `{"value": 1}`; return { a: 1 }',
  'pollution of what the bootstrap uses': 'Object.prototype.toJSON = () => "x"; Buffer.from = () => null; return 5',
  'process.binding': 'const spawn = process.binding("spawn_sync"); return spawn.spawn({ file: "/bin/cat", args: ["cat", host.file], envPairs: [], stdio: [{ type: "pipe", readable: true }, { type: "pipe", writable: true }, { type: "pipe", writable: true }] })?.output?.map(String)',
  'child_process': 'const { execSync } = await import("node:child_process"); return execSync(`cat ${host.file} 2>&1 || true; env; ls -la /proc/*/root/ 2>&1`).toString()',
  'a worker thread': 'const { Worker } = await import("node:worker_threads"); return await new Promise((done) => new Worker("require(`worker_threads`).parentPort.postMessage(process.env)", { eval: true }).on("message", done))',
  'the file of the host': 'const fs = await import("node:fs"); try { return fs.readFileSync(host.file, "utf8") } catch (error) { return error.code }',
  'its folder by way of /proc': 'const fs = await import("node:fs"); const found = []; for (const pid of fs.readdirSync("/proc").filter(Number)) { for (const what of ["environ", "cmdline", "maps", `root${host.file}`, `cwd/secret`]) try { found.push(fs.readFileSync(`/proc/${pid}/${what}`, "latin1")) } catch {} } return found.join().slice(0, 1e6)',
  'the memory of the host': 'const fs = await import("node:fs"); try { const fd = fs.openSync(`/proc/${host.pid}/mem`); const bytes = Buffer.alloc(64); fs.readSync(fd, bytes, 0, 64, 4194304); return bytes.toString("latin1") } catch (error) { return error.code }',
  'its own memory': 'const fs = await import("node:fs"); const fd = fs.openSync("/proc/self/mem", "r+"); const map = fs.readFileSync("/proc/self/maps", "utf8").split("\\n").find((line) => / r-xp .*node/.test(line)); const at = parseInt(map, 16); const bytes = Buffer.alloc(4); fs.readSync(fd, bytes, 0, 4, at); try { fs.writeSync(fd, bytes, 0, 4, at); return "wrote itself" } catch (error) { return error.code }',
  'a native addon': 'const fs = await import("node:fs"); fs.writeFileSync("/tmp/a.node", "\\x7fELF"); try { process.dlopen({ exports: {} }, "/tmp/a.node") } catch (error) { return error.code ?? error.message }',
  'a native addon that works, in a Node that takes it': 'const { spawnSync } = await import("node:child_process"); const script = `const all = { exports: {} }; process.dlopen(all, "${host.addon}"); console.log("loaded", Object.keys(all.exports).includes("doctor")); const fs = require("fs"); for (const path of process.argv.slice(1)) try { console.log(fs.readFileSync(path, "latin1")) } catch (error) { console.log(error.code) } try { all.exports.Sandbox.fromOptions("{}"); console.log("nested") } catch (error) { console.log("refused") }`; const ran = spawnSync(process.execPath, ["-e", script, host.file, `/proc/${host.pid}/environ`], { encoding: "utf8" }); return ran.stdout + ran.stderr',
  'the network of the host': 'const { get } = await import("node:http"); return await new Promise((done) => get({ port: host.port, host: "127.0.0.1" }, (response) => response.on("data", (data) => done(String(data)))).on("error", (error) => done(error.code)))',
  'inherited fds': 'const fs = await import("node:fs"); const found = []; for (let fd = 3; fd < 256; fd++) try { const stat = fs.fstatSync(fd); found.push(fs.readlinkSync(`/proc/self/fd/${fd}`)); if (stat.isFile()) found.push(fs.readFileSync(fd, "latin1").slice(0, 1000)) } catch {} return found',
  'the inspector': 'const inspector = await import("node:inspector"); inspector.open(0); return inspector.url() ?? "none"',
  'signals to the host': 'const results = []; for (const pid of [host.pid, 1, -1, 0]) try { if (pid > 1) process.kill(pid, 9); else process.kill(pid, 0); results.push("sent") } catch (error) { results.push(error.code) } return results',
  'writing where the host looks': 'const fs = await import("node:fs"); const results = []; for (const path of ["/usr/x", "/etc/passwd", "/bin/sh", host.file, process.execPath]) try { fs.writeFileSync(path, "x"); results.push(path) } catch {} return results.filter((path) => path !== "/etc/passwd" && path !== host.file)',
  'vm and its contexts': 'const vm = await import("node:vm"); return vm.runInNewContext("this.constructor.constructor(`return process`)().env", {})',
  'import of the host\'s modules': 'try { return Object.keys(await import(host.module)) } catch (error) { return error.code }',
  'WebAssembly memory without an end': 'const all = []; try { for (;;) all.push(new WebAssembly.Memory({ initial: 1024 })) } catch (error) { return error.name }',
  'buffers without an end': 'const all = []; try { for (;;) { const bytes = new ArrayBuffer(1 << 28); new Uint8Array(bytes).fill(1); all.push(bytes) } } catch (error) { return error.name }',
  'a heap without an end': 'const all = []; for (;;) all.push({ a: [all.length] })',
  'a loop without an end': 'while (true);',
  'a regular expression without an end': 'return /^(a+)+$/.test("a".repeat(40) + "b")',
  'promises without an end': 'const again = () => Promise.resolve().then(again); await again()',
  'threads without an end': 'const { Worker } = await import("node:worker_threads"); for (;;) new Worker("while (true);", { eval: true })',
  'files without an end': 'const fs = await import("node:fs"); const block = Buffer.alloc(1 << 20); try { for (let n = 0; ; n++) fs.writeFileSync(`/tmp/${n}`, block) } catch (error) { return error.code }',
  'output without an end': 'const fs = await import("node:fs"); const block = "x".repeat(65536); for (;;) try { fs.writeSync(1, block) } catch {}',
  'output that waits in the guest, without an end': 'for (;;) process.stdout.write("x".repeat(65536))',
}

const timeIsUp = ({ outcome }) => assert.equal(outcome.ended, 'wall_time')
const notWell = ({ outcome }) => assert.equal(outcome.ok, false)
const gives = (value) => (result) => assert.deepEqual(result.value, value, JSON.stringify(result))

/** That the attempt was made, and where it ended. */
const EXPECTED = {
  'child_process': ({ value }) => assert.match(value, /No such file/),
  'the file of the host': gives('ENOENT'),
  'a native addon that works, in a Node that takes it': ({ value }) => assert.match(value, /^loaded true\nENOENT\n/),
  'the network of the host': gives('ECONNREFUSED'),
  'writing where the host looks': gives([]),
  'import of the host\'s modules': gives('ERR_MODULE_NOT_FOUND'),
  'a heap without an end': notWell,
  'a loop without an end': timeIsUp,
  'a regular expression without an end': timeIsUp,
  'promises without an end': notWell, // whether its time or its heap ends first is the Node's
  'output without an end': ({ outcome }) => assert.deepEqual([outcome.ended, outcome.stdout.length, outcome.stdoutTruncated], ['wall_time', 64 << 10, true]),
}

/** The host's event loop, as seen by its clients. */
function ask() {
  return new Promise((resolve, reject) => {
    get({ port: server.address().port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume().on('end', () => resolve((answered += 1)))
    }).on('error', reject)
  })
}

for (const [name, body] of Object.entries(CORPUS)) {
  test(name, async () => {
    await leavesNothing(async () => {
      const host = { file: `${folder}/secret`, pid: process.pid, port: server.address().port, addon: ADDON, module: new URL('../index.js', import.meta.url).pathname }
      const before = answered
      let worst = 0
      let running = true
      const asking = (async () => {
        while (running) {
          const begun = performance.now()
          await ask()
          worst = Math.max(worst, performance.now() - begun)
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      })()
      const result = await runModule(`export default async function (host) { ${body} }`, {
        input: host, timeoutMs: 1500, heap: '64MiB', memory: '512MiB', pids: 64, output: '64KiB', compat: { prefer: ['limits.*'] },
        mounts: [{ kind: 'bind', source: addon, target: ADDON }],
      })
      running = false
      await asking
      const said = JSON.stringify([result.value, result.error, result.outcome.text, result.outcome.stderrText]) ?? ''
      assert.ok(!said.includes(SECRET), said)
      EXPECTED[name]?.(result)
      assert.ok(answered > before, 'the host answered meanwhile')
      assert.ok(worst < 5000, `an answer took ${worst} ms`)
      assert.equal({}.polluted, undefined)
      assert.equal(typeof JSON.stringify({ a: 1 }), 'string')
    })
  })
}
