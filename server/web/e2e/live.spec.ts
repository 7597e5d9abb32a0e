// The live connection: what a killed server, and a page that nobody looks at, do to it.
import type { ChildProcess } from 'node:child_process';
import { expect } from './fixtures';
import { nameOf, test as base, VALUES } from './machines';
import { ended, freePort, ready, spawnServer } from './server.js';

/** A second server with the same database, which the scenario may kill. */
interface Second {
  url: string;
  kill(): Promise<void>;
  start(): Promise<void>;
}

const test = base.extend<{ second: Second }>({
  // eslint-disable-next-line no-empty-pattern -- it depends on nothing, and Playwright wants to see that
  second: async ({}, use) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    let server: ChildProcess | null = null;
    const second: Second = {
      url,
      async kill() {
        server?.kill('SIGKILL');
        if (server) await ended(server);
        server = null;
      },
      async start() {
        server = spawnServer({
          binaries: process.env['PIKA_E2E_BIN_DIR'] ?? '',
          port,
          databaseUrl: process.env['PIKA_E2E_DATABASE_URL'] ?? '',
          password: process.env['PIKA_E2E_PASSWORD'] ?? '',
        });
        await ready(url, server);
      },
    };
    await second.start();
    await use(second);
    await second.kill();
  },
});

test.describe('a server that is killed', () => {
  test.use({
    baseURL: async ({ second }, use) => use(second.url),
    expected: {
      '/api/events': 0,
      '/api/agents': 0,
      '/api/agents/metrics/latest': 0,
      '/api/agents/metrics/sparklines': [0, 429],
      '/api/account/info': 0,
      '/api/alerts/summary': 0,
    },
  });

  test('is missed in so many words, and everything goes on when it is back', async ({
    page,
    t,
    second,
    logIn,
    enroll,
  }) => {
    test.setTimeout(120_000);
    const agent = await enroll(nameOf('killed'));
    agent.report(VALUES);
    await logIn();
    await page.goto(`/?q=${agent.name}`);
    await expect(page.getByText('21 %')).toBeVisible();
    await expect(page.getByText(t.live.live, { exact: true })).toBeAttached();
    await second.kill();
    const bar = page.getByText(t.live.notLive, { exact: false });
    await expect(bar.first()).toBeVisible();
    await expect(page.getByText(t.live.dataFrom(''), { exact: false })).toBeVisible();
    await expect(page.getByText('21 %'), 'what is known stays').toBeVisible();
    await second.start();
    await expect(bar).toHaveCount(0, { timeout: 40_000 });
    agent.close();
    await agent.connect();
    agent.report({ ...VALUES, cpu: 55 });
    await expect(page.getByText('55 %')).toBeVisible();
  });
});

test('a page that nobody looks at gives its connection back', async ({ page, t, logIn }) => {
  await logIn();
  await page.clock.install();
  let opened = 0;
  page.on('request', (request) => (opened += Number(new URL(request.url()).pathname === '/api/events')));
  await page.goto('/');
  const mark = page.getByText(t.live.live, { exact: true });
  await expect(mark).toBeAttached();
  const look = (isHidden: boolean) =>
    page.evaluate((isHidden) => {
      Object.defineProperty(document, 'hidden', { value: isHidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  await look(true);
  await page.clock.fastForward(29_000);
  await expect(mark, 'a short look elsewhere changes nothing').toBeAttached();
  await page.clock.fastForward(2000);
  await expect(mark).toHaveCount(0);
  expect(opened).toBe(1);
  await look(false);
  await expect(mark).toBeAttached();
  expect(opened).toBe(2);
});

test('a dropped stream comes back before anybody is told', async ({ page, t, logIn }) => {
  await logIn();
  let opened = 0;
  await page.route('/api/events?*', (route) => {
    opened += 1;
    return opened === 1 ? route.fulfill({ contentType: 'text/event-stream', body: ':\n\n' }) : route.fallback();
  });
  await page.goto('/');
  await expect.poll(() => opened).toBeGreaterThan(1);
  await expect(page.getByText(t.live.live, { exact: true })).toBeAttached();
  await expect(page.getByText(t.live.notLive)).toHaveCount(0);
});

test.describe('a stream that is refused', () => {
  test.use({ expected: { '/api/events': 404 } });

  test('is said so, and the lists show all the same', async ({ page, t, logIn }) => {
    await logIn();
    await page.route('/api/events?*', (route) =>
      route.fulfill({ status: 404, json: { code: 'not_found', message: 'no such stream', requestId: 'r' } }),
    );
    await page.goto('/');
    await expect(page.getByText(t.live.refused)).toBeVisible();
    await expect(page.getByRole('searchbox')).toBeVisible();
  });
});
