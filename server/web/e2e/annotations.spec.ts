// What is said on a machine's charts beside its values: what fired, from where on, and when it was not there.
import type { Page } from '@playwright/test';
import { expect } from './fixtures';
import { test } from './firing';
import { sampleAt } from './histories';
import { nameOf, VALUES } from './machines';

const SECOND = 1000;

interface Presence {
  items: { from: number; to: number; status: string }[];
  uptimePercent: number | null;
}

// Scenarios that run at the same time share the administrator's charts, of which the server makes so many at once.
test.use({ expected: { '/api/agents/*/metrics': 429 } });

const cpuOf = (page: Page) => page.locator('[data-chart="chart-cpu"]');

/** How many pixels of the processors' chart have exactly a token's colour, in the upper and the lower half. */
const painted = (page: Page, token: string) =>
  cpuOf(page)
    .locator('canvas')
    .evaluate((canvas: HTMLCanvasElement, name) => {
      const probe = document.createElement('i');
      probe.style.color = `var(${name})`;
      document.body.append(probe);
      const wanted = (getComputedStyle(probe).color.match(/\d+/g) ?? []).map(Number);
      probe.remove();
      const { width, height } = canvas;
      const data = canvas.getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
      let [upper, lower] = [0, 0];
      for (let i = 0; i < data.length; i += 4) {
        if (!wanted.every((part, at) => data[i + at] === part)) continue;
        if (i / 4 / width < height / 2) upper += 1;
        else lower += 1;
      }
      return { upper, lower };
    }, token);

/** Moves the pointer over the middle of a moment on the processors' chart. */
async function pointAt(page: Page, share: number) {
  const box = await cpuOf(page).locator('.u-over').boundingBox();
  if (!box) throw new Error('the chart is not there');
  await page.mouse.move(box.x + box.width * share - 2, box.y + box.height / 2);
  await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
}

test('what fired is marked, and the rule says from where on', async ({
  page,
  t,
  logIn,
  enroll,
  report,
  fire,
  isMobile,
}) => {
  const machine = await enroll(nameOf('marked'));
  report(machine, 60);
  const rule = nameOf('marked <b>rule</b>');
  await fire(machine.id, rule);
  await logIn();
  await page.goto(`/agents/${machine.id}?range=15m`);
  const severity = t.alerts.severities.warning;
  await expect(cpuOf(page).locator('.legend')).toContainText(t.chart.above(severity, '1 %', rule));
  await expect.poll(async () => (await painted(page, '--warning')).upper, 'the strip at the top').toBeGreaterThan(0);
  await expect.poll(async () => (await painted(page, '--warning')).lower, 'the line across').toBeGreaterThan(50);
  if (isMobile) return;
  await expect(async () => {
    await pointAt(page, 0.997);
    await expect(page.locator('.tooltip')).toContainText(`${severity}: ${rule}`, { timeout: 500 });
  }).toPass();
  await pointAt(page, 0.1);
  await expect(page.locator('.tooltip')).not.toContainText(rule);
  // It is about processors: the memory's chart has neither.
  await expect(page.locator('[data-chart="chart-memory"]')).not.toContainText(rule);
});

test('a machine that was away says so on its charts and in its availability', async ({
  page,
  t,
  api,
  logIn,
  enroll,
  isMobile,
}) => {
  const machine = await enroll(nameOf('away'));
  const presence = () => api.send<Presence>('GET', `/api/agents/${machine.id}/presence`);
  const deliver = async () => {
    const samples = [sampleAt(Date.now(), { name: machine.name, everyMs: SECOND })];
    await machine.deliver([{ type: 'batch', data: { samples } }]);
  };
  machine.intervalMs = SECOND;
  machine.close();
  await machine.connect();
  machine.report(VALUES);
  await deliver();
  machine.close();
  const isAway = async () => (await presence()).items.at(-1)?.status === 'offline';
  await expect.poll(isAway, { timeout: 40_000 }).toBe(true);
  const away = (await presence()).items.at(-1)?.from ?? 0;
  await expect.poll(() => Date.now() - away, { timeout: 30_000 }).toBeGreaterThan(10 * SECOND);
  await machine.connect();
  await deliver();
  const back = Date.now();

  await logIn();
  const [from, to] = [away - 10 * SECOND, back + 10 * SECOND];
  await page.goto(`/agents/${machine.id}?from=${from}&to=${to}`);
  await expect
    .poll(async () => (await painted(page, '--offline')).lower, 'the strip of what was away')
    .toBeGreaterThan(0);
  await expect.poll(async () => (await painted(page, '--ok')).lower, 'the strip of what was there').toBeGreaterThan(0);
  const availability = page.getByRole('heading', { name: t.machine.availability.title }).locator('..');
  await expect(availability).toContainText(t.machine.availability.spans.day);
  await expect(availability).not.toContainText('100 %');
  if (isMobile) return;
  await pointAt(page, ((away + back) / 2 - from) / (to - from));
  await expect(page.locator('.tooltip')).toContainText(t.chart.holes.offline);
});
