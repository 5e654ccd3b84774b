// The code in the documents runs. PINFOLD_DOCUMENTS: where they are; by default, in the checkout around this folder.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const root = process.env.PINFOLD_DOCUMENTS ?? join(here, '../..')

for (const document of ['docs/node.md', 'bindings-node/README.md', 'README.md']) {
  const text = readFileSync(join(root, document), 'utf8')
  const blocks = [...text.matchAll(/^```js\n([^]*?)^```$/gm)]
  test(`${document} has code`, () => assert.ok(blocks.length > 0))
  for (const [index, [, code]] of blocks.entries()) {
    const line = text.slice(0, blocks[index].index).split('\n').length
    test(`${document}:${line}`, async (t) => {
      // Beside the tests, so that the package is found as they find it.
      const folder = mkdtempSync(join(here, '.block-'))
      t.after(() => rmSync(folder, { recursive: true }))
      writeFileSync(join(folder, 'block.mjs'), `import assert from 'node:assert/strict'\n${code}`)
      await promisify(execFile)(process.execPath, [join(folder, 'block.mjs')], { timeout: 60_000 })
    })
  }
  const examples = [...text.matchAll(/^<!-- example: (\S+\.mjs) -->\n```js skip\n([^]*?)^```$/gm)]
  for (const [, name, code] of examples) {
    test(`${document} shows examples/${name} as it is`, () => {
      assert.ok(readFileSync(join(root, 'bindings-node/examples', name), 'utf8').includes(code))
    })
  }
}
