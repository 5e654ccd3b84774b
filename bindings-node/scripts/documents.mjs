// Owns: the `ts` blocks of the documents as files that the compiler reads (test/types/tsconfig.json).
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { here } from './platforms.mjs'

const folder = join(here, 'test/types/.documents')
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
let count = 0
for (const document of ['docs/node.md', 'README.md']) {
  for (const [, code] of readFileSync(join(here, '..', document), 'utf8').matchAll(/^```ts\n([^]*?)^```$/gm)) {
    writeFileSync(join(folder, `block${(count += 1)}.mts`), code)
  }
}
console.log(`${count} ts blocks`)
