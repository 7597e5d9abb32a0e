// Writes a Brotli and a gzip form beside every text file of dist, so that the server never compresses them.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const FROM_BYTES = 1024;
const TEXT = /\.(css|html|js|json|svg|txt|webmanifest)$/;

const dist = new URL('../dist/', import.meta.url).pathname;
for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath ?? entry.path, entry.name);
  if (!entry.isFile() || !TEXT.test(file) || file.includes('/.vite/')) continue;
  const text = await readFile(file);
  if (text.length <= FROM_BYTES) continue;
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length };
  await writeFile(`${file}.br`, brotliCompressSync(text, { params }));
  await writeFile(`${file}.gz`, gzipSync(text, { level: 9 }));
}
