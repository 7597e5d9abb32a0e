// The pictures of the top README, made where PIKA_PICTURES names a folder: `PIKA_PICTURES=pictures npm run e2e --
// --project=desktop-light pictures.spec.ts`.
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Browser, BrowserContextOptions, Page } from '@playwright/test';
import { ADMIN, expect, test as base } from './fixtures';
import { deliverHistory, sampleAt, type Plan } from './histories';
import { enrollmentToken } from './machines';
import { MadeUpAgent } from './agents.js';

const folder = process.env['PIKA_PICTURES'];
const BYTES_MAX = 150_000;
const QUALITY = 0.82;
const MINUTE = 60_000;
const EVERY_MS = 5000;
const NAMES = ['api', 'db', 'cache', 'edge', 'mail', 'queue', 'search', 'web'];
const PLACES = ['eu', 'us', 'ap'];

const test = base.extend<{ draw: (name: string, look: BrowserContextOptions, path: string) => Promise<void> }>({
  draw: async ({ browser, baseURL, playwright }, use) => {
    const request = await playwright.request.newContext(baseURL ? { baseURL } : {});
    await request.post('/api/login', { data: ADMIN });
    const storageState = await request.storageState();
    await request.dispose();
    await use(async (name, look, path) => {
      const context = await browser.newContext({ ...look, locale: 'en', timezoneId: 'UTC', storageState });
      const page = await context.newPage();
      await page.goto(`${baseURL}${path}`);
      await expect(
        page.locator('[data-index] a, [role="listitem"] strong, [data-chart="chart-load"] canvas').first(),
      ).toBeVisible();
      await expect(page.locator('[aria-busy="true"]')).toHaveCount(0);
      await page.waitForLoadState('networkidle', { timeout: 5000 }).catch(() => undefined);
      const picture = await webp(browser, await page.screenshot({ animations: 'disabled' }));
      expect(picture.length).toBeLessThan(BYTES_MAX);
      mkdirSync(folder ?? '', { recursive: true });
      writeFileSync(`${folder}/${name}.webp`, picture);
      await context.close();
    });
  },
});

/** The browser is the encoder that is there anyway. */
async function webp(browser: Browser, png: Buffer): Promise<Buffer> {
  const page: Page = await browser.newPage();
  const encoded = await page.evaluate(
    async ({ png, quality }) => {
      const image = new Image();
      image.src = `data:image/png;base64,${png}`;
      await image.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [image.width, image.height];
      canvas.getContext('2d')?.drawImage(image, 0, 0);
      return canvas.toDataURL('image/webp', quality).split(',')[1] ?? '';
    },
    { png: png.toString('base64'), quality: QUALITY },
  );
  await page.close();
  return Buffer.from(encoded, 'base64');
}

interface Trends {
  items: { agentId: string; avg: (number | null)[] }[];
}

test('pictures of a fleet, a machine and a phone', async ({ api, baseURL, draw }) => {
  test.skip(!folder, 'PIKA_PICTURES names no folder');
  test.setTimeout(600_000);
  const machines = new Map<MadeUpAgent, Plan>();
  const report = ([agent, plan]: [MadeUpAgent, Plan]) => agent.send('batch', { samples: [sampleAt(Date.now(), plan)] });
  const enroll = async (plan: Plan, tags: string[]) => {
    const agent = new MadeUpAgent(baseURL ?? '', plan.name, `10.20.0.${machines.size + 10}`, plan.everyMs);
    await agent.connect(await enrollmentToken(api, plan.name));
    await api.send('PUT', `/api/agents/${agent.id}`, { name: plan.name, tags, note: '' });
    await deliverHistory(agent, plan, Date.now());
    machines.set(agent, plan);
    return agent;
  };
  const timer = setInterval(() => [...machines].forEach(report), EVERY_MS);
  const names = NAMES.flatMap((role) => PLACES.map((place) => [`${role}-${place}-1`, place] as const));
  for (const [i, [name, place]] of names.entries()) {
    const mountPoints = i % 9 === 4 ? ['/', '/boot', '/var'] : ['/', '/boot'];
    const agent = await enroll({ name, fromMs: 60 * MINUTE, everyMs: 30_000, phase: i * 1.7, mountPoints }, [
      'shop',
      place,
    ]);
    if (i === 4) agent.close();
  }
  const hole = { fromMs: 34 * MINUTE, untilMs: 27 * MINUTE, reason: 'spool_full' as const };
  const plan = { name: 'db-eu-2', fromMs: 65 * MINUTE, everyMs: EVERY_MS, hole, phase: 2 };
  const { id } = await enroll(plan, ['shop', 'eu', 'postgres']);
  // The server remembers trends for half a minute.
  await expect
    .poll(
      async () => {
        const { items } = await api.send<Trends>(
          'GET',
          '/api/agents/metrics/sparklines?metric=cpuUsagePercent&points=31',
        );
        return items.find(({ agentId }) => agentId === id)?.avg.filter((value) => value !== null).length ?? 0;
      },
      { timeout: 90_000, intervals: [2000] },
    )
    .toBeGreaterThan(20);
  const desktop = { viewport: { width: 1440, height: 900 } };
  await draw('fleet', { ...desktop, colorScheme: 'light' }, '/?tag=shop');
  await draw('machine', { ...desktop, colorScheme: 'dark' }, `/agents/${id}`);
  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
  await draw('phone', { ...phone, colorScheme: 'light' }, '/?tag=shop');
  clearInterval(timer);
  for (const machine of machines.keys()) machine.close();
});
