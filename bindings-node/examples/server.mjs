// A server that runs the JavaScript people post to it, each in a sandbox of its own, and streams what it prints.
//
//     node examples/server.mjs 8080
//     curl -N --data-binary 'for (let n = 0; n < 3; n++) console.log(n)' localhost:8080/run
//     curl --data-binary '{"source": "export default ({ x }) => x * 2", "input": {"x": 21}}' localhost:8080/module
import { createServer } from 'node:http'
import { realpathSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox, runModule } from 'pinfold'

const MAX_BODY = 64 * 1024
const AT_ONCE = 4

// Checked once; every request gets a fresh sandbox from it. Node is inside because it lies below /usr; elsewhere, bind it.
const node = realpathSync(process.execPath)
const bound = node.startsWith('/usr/') ? [] : [{ kind: 'bind', source: node, target: node, readOnly: true }]
// Where this host has no cgroups to limit with, the next best is taken, and box.report says so.
const limits = { timeoutMs: 5000, memory: '256MiB', pids: 32, compat: { prefer: ['limits.*'] } }
const box = new Sandbox({ ...limits, mounts: bound, output: '256KiB' })

let running = 0

async function body(request) {
  let size = 0
  request.on('data', (chunk) => (size += chunk.length) > MAX_BODY && request.destroy())
  return text(request)
}

/** Standard output as it comes, then one line with how it ended. */
async function streamed(source, response, signal) {
  // Errors are ours: told before the first byte. How the program ends is its own business.
  const p = box.spawn([node, '--max-old-space-size=64', '-'], { stdin: 'pipe', stderr: 'stdout', signal })
  p.stdin.on('error', () => {}) // it may end without reading
  p.stdin.end(source)
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
  // A client that reads slowly slows the program down: nothing piles up here.
  const [outcome] = await Promise.all([p, pipeline(p.stdout, response, { end: false })])
  response.end(`\n-- ${outcome.detail}\n`)
}

async function asModule(text, response, signal) {
  const { source, input } = JSON.parse(text)
  const { value, error, outcome } = await runModule(String(source), { ...limits, input, heap: '64MiB', resultLimit: '256KiB', signal })
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ value, error, ended: outcome.detail }))
}

const server = createServer(async (request, response) => {
  const handler = { '/run': streamed, '/module': asModule }[request.url]
  const refuse = (status, words) => {
    request.resume() // what nobody reads would hold the connection
    response.writeHead(status).end(words)
  }
  if (request.method !== 'POST' || handler === undefined) return refuse(404, 'POST /run or /module\n')
  if (running >= AT_ONCE) return refuse(503, 'busy\n')
  running += 1
  // Whoever hangs up takes the sandbox along.
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    await handler(await body(request), response, gone.signal)
  } catch (error) {
    if (!response.headersSent) response.writeHead(error instanceof SyntaxError ? 400 : 500)
    response.end(error instanceof SyntaxError ? 'not JSON\n' : 'could not run it\n')
    if (!gone.signal.aborted) console.error(error)
  } finally {
    running -= 1
  }
})

server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
process.once('SIGTERM', async () => {
  server.close()
  await sleep(100)
  server.closeAllConnections()
})
