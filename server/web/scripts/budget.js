// Fails the build when a page has become too heavy. Prints what each chunk weighs in Brotli, in decimal kB.
import { readFileSync, statSync } from 'node:fs';

const BUDGET = { firstPageJs: 150, css: 15, lazyChunk: 60 };

const dist = new URL('../dist/', import.meta.url);
/** @type {Record<string, { file: string, name?: string, src?: string, isEntry?: boolean, imports?: string[], dynamicImports?: string[], css?: string[] }>} */
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));

/** What is sent: the Brotli form, or the file itself where it is too small for one. @param {string} file */
function kilobytes(file) {
  const sent = statSync(new URL(`${file}.br`, dist), { throwIfNoEntry: false }) ?? statSync(new URL(file, dist));
  return sent.size / 1000;
}

/** A chunk and all that it cannot do without. @param {string} key @param {Set<string>} [found] */
function closure(key, found = new Set()) {
  if (found.has(key)) return found;
  found.add(key);
  for (const imported of manifest[key]?.imports ?? []) closure(imported, found);
  return found;
}

/** @param {Iterable<string>} keys */
function javascript(keys) {
  return [...keys].flatMap((key) => (manifest[key]?.file.endsWith('.js') ? [manifest[key].file] : []));
}

/** @param {string[]} files */
const sum = (files) => [...new Set(files)].reduce((total, file) => total + kilobytes(file), 0);

const [entryKey] = Object.entries(manifest).find(([, chunk]) => chunk.isEntry) ?? [];
if (!entryKey) throw new Error('the manifest has no entry');
const entry = closure(entryKey);
const pages = Object.keys(manifest).filter((key) => /^src\/pages\/.*Page\.svelte$/.test(key));
const rows = pages.map((page) => ({
  name: `first page: ${page.slice('src/pages/'.length)}`,
  size: sum(javascript(new Set([...entry, ...closure(page)]))),
  limit: BUDGET.firstPageJs,
}));
rows.push({
  name: 'CSS, all of it',
  size: sum(
    Object.values(manifest).flatMap((chunk) => [
      ...(chunk.css ?? []),
      ...(chunk.file.endsWith('.css') ? [chunk.file] : []),
    ]),
  ),
  limit: BUDGET.css,
});
for (const [key, chunk] of Object.entries(manifest)) {
  if (entry.has(key) || !chunk.file.endsWith('.js')) continue;
  rows.push({ name: `chunk ${chunk.name ?? key}`, size: kilobytes(chunk.file), limit: BUDGET.lazyChunk });
}

let isOver = false;
for (const { name, size, limit } of rows) {
  const verdict = size > limit ? 'TOO BIG' : '';
  isOver ||= size > limit;
  console.log(`${size.toFixed(1).padStart(7)} of ${String(limit).padStart(3)} kB  ${name} ${verdict}`.trimEnd());
}
if (isOver) {
  console.error('server/web: over budget (see README.md, Budgets)');
  process.exit(1);
}
