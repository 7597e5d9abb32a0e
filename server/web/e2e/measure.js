// Measures the fleet's page on a large fleet, against the budgets of README.md, and prints the figures.
//
//   node e2e/run.js --measure [COUNT]      (default: 2000 machines)
//
// Started by run.js with the server's address in PIKA_E2E_URL; waits until values come at their pace.
import { chromium } from '@playwright/test';

const url = process.env.PIKA_E2E_URL ?? '';
const LIVE_S = 10;
const BUDGET = { paintedMs: 1000, livePercent: 5, nodes: 3000 };

const login = await fetch(`${url}/api/login`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ username: 'admin', password: process.env.PIKA_E2E_PASSWORD }),
});
const [name = '', value = ''] = (login.headers.get('set-cookie') ?? '').split(';')[0]?.split('=') ?? [];

const browser = await chromium.launch({
  executablePath: process.env.PIKA_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});

/** @param {string} path */
async function open(path) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  await context.addCookies([{ name, value, url }]);
  const page = await context.newPage();
  await page.goto(url + path, { waitUntil: 'commit' });
  const painted = await page.evaluate(
    () =>
      /** @type {Promise<number>} */ (
        new Promise((resolve) => {
          const look = () =>
            document.querySelector('[data-index] a, .tile')
              ? requestAnimationFrame(() => resolve(performance.now()))
              : requestAnimationFrame(look);
          look();
        })
      ),
  );
  return { context, page, painted };
}

/**
 * What the page takes in percent of a core: time that its thread has had on a processor, and not that it has waited for
 * one, because others use the machine, too. @param {import('@playwright/test').Page} page
 */
async function load(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const read = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const find = (/** @type {string} */ wanted) => metrics.find((metric) => metric.name === wanted)?.value ?? NaN;
    return { busy: find('ThreadTime'), at: find('Timestamp'), heap: find('JSHeapUsedSize') };
  };
  const before = await read();
  await page.waitForTimeout(LIVE_S * 1000);
  const after = await read();
  return { percent: ((after.busy - before.busy) / (after.at - before.at)) * 100, heapMb: after.heap / 1e6 };
}

const rows = [];
for (const [what, path] of [
  ['by name', '/'],
  ['by processors', '/?sort=-cpu'],
  ['tiles', '/?view=tiles'],
]) {
  const times = [];
  for (let i = 0; i < 5; i += 1) {
    const { context, painted } = await open(path ?? '');
    times.push(painted);
    await context.close();
  }
  const painted = times.sort((a, b) => a - b)[2] ?? NaN;
  const { context, page } = await open(path ?? '');
  const machines = await page.evaluate(() => document.title);
  await page.waitForTimeout(3000);
  const { percent, heapMb } = await load(page);
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  rows.push({ what, painted, percent, nodes, heapMb });
  console.log(
    `${what}: painted ${painted.toFixed(0)} ms (${BUDGET.paintedMs}), live ${percent.toFixed(1)} % of a core ` +
      `(${BUDGET.livePercent}), ${nodes} nodes (${BUDGET.nodes}), heap ${heapMb.toFixed(0)} MB; ${machines}`,
  );
  await context.close();
}
await browser.close();
const isOver = rows.some(
  ({ painted, percent, nodes }) => painted > BUDGET.paintedMs || percent > BUDGET.livePercent || nodes > BUDGET.nodes,
);
if (isOver) console.error('over budget');
process.exit(isOver ? 1 : 0);
