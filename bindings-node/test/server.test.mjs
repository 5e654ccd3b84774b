// The example server, as its users see it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { comm, descendants, eventually } from './kit.mjs'

test('the example server runs what is posted', async (t) => {
  const program = fileURLToPath(new URL('../examples/server.mjs', import.meta.url))
  const server = spawn(process.execPath, [program, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => server.kill('SIGKILL'))
  const port = /\d+/.exec((await once(server.stdout.setEncoding('utf8'), 'data'))[0])[0]
  const post = (path, body, signal) => fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, signal })

  assert.equal(await (await post('/run', 'for (let n = 0; n < 3; n++) console.log(n)')).text(), '0\n1\n2\n\n-- exited with 0\n')
  assert.match(await (await post('/run', 'process.kill(process.pid, 9)')).text(), /killed by SIGKILL/)
  assert.match(await (await post('/run', 'throw new Error("mine")')).text(), /mine[^]*exited with 1/)
  assert.deepEqual(await (await post('/module', '{"source": "export default ({ x }) => x * 2", "input": {"x": 21}}')).json(), { value: 42, error: null, ended: 'exited with 0' })
  assert.equal((await post('/module', 'nonsense')).status, 400)
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 404)

  // It streams, and whoever hangs up takes the sandbox along.
  const hangUp = new AbortController()
  const endless = await post('/run', 'setInterval(() => console.log("tick"), 20)', hangUp.signal)
  const reader = endless.body.getReader()
  assert.match(Buffer.from((await reader.read()).value).toString(), /tick/)
  hangUp.abort()
  await eventually('the sandbox is gone', () => !descendants(server.pid).some((pid) => comm(pid) === 'pinfold-init'))

  const many = await Promise.all(Array.from({ length: 8 }, () => post('/run', 'setTimeout(() => {}, 500)')))
  assert.ok(many.some(({ status }) => status === 503) && many.some(({ status }) => status === 200))
  await Promise.all(many.map((response) => response.text()))
})
