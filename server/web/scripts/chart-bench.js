// Measures the kernel of charts in Chromium: ten charts of 20 lines with 600 points and a hole. Fails above the budget.
//
//   node scripts/chart-bench.js        PIKA_CHROMIUM: which Chromium (default: /usr/bin/chromium)
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';
import { build } from 'vite';

/** Milliseconds: all charts made, all charts with new data, the crosshair moved in all charts. */
const BUDGET = { create: 250, newData: 30, move: 10 };

const path = (/** @type {string} */ relative) => fileURLToPath(new URL(relative, import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'pika-charts-'));
/** @type {import('@playwright/test').Browser | undefined} */
let browser;
try {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { $lib: path('../src/lib') } },
    build: {
      outDir: folder,
      lib: { entry: path('./chart-bench.entry.ts'), formats: ['iife'], name: 'bench', fileName: () => 'bench.js' },
    },
  });
  const executablePath = process.env.PIKA_CHROMIUM ?? '/usr/bin/chromium';
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addScriptTag({ content: readFileSync(join(folder, 'bench.js'), 'utf8') });
  /** @type {Record<keyof typeof BUDGET, number>} */
  const measured = await page.evaluate('bench.run()');
  let isOver = false;
  for (const [name, limit] of /** @type {[keyof typeof BUDGET, number][]} */ (Object.entries(BUDGET))) {
    isOver ||= measured[name] > limit;
    console.log(`${measured[name].toFixed(1).padStart(7)} of ${String(limit).padStart(3)} ms  ${name}`);
  }
  process.exitCode = isOver ? 1 : 0;
} finally {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
}
