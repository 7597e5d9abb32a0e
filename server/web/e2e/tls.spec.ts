// The whole way once over TLS, with a certificate that no authority has signed: logging in, adding a machine, whose agent
// trusts the key that its token names, and watching it live.
import { fileURLToPath } from 'node:url';
import { accountButton, ADMIN, expect, fillIn } from './fixtures';
import { nameOf } from './machines';
import { test as base } from './real-agent';
import { ended, freePort, ready, spawnServer } from './server.js';

const CERTIFICATES = fileURLToPath(new URL('../../../agent/tests/it/fixtures/', import.meta.url));

const test = base.extend<{ secure: string }>({
  // eslint-disable-next-line no-empty-pattern -- it depends on nothing, and Playwright wants to see that
  secure: async ({}, use) => {
    const port = await freePort();
    const url = `https://localhost:${port}`;
    const server = spawnServer({
      binaries: process.env['PIKA_E2E_BIN_DIR'] ?? '',
      port,
      databaseUrl: process.env['PIKA_E2E_DATABASE_URL'] ?? '',
      password: process.env['PIKA_E2E_PASSWORD'] ?? '',
      environment: {
        PIKA_SERVER_TLS_CERTIFICATE_FILE: `${CERTIFICATES}server.pem`,
        PIKA_SERVER_TLS_KEY_FILE: `${CERTIFICATES}server.key`,
        PIKA_SERVER_TLS_PIN_KEY: 'true',
      },
    });
    await ready(url, server);
    await use(url);
    server.kill('SIGTERM');
    await ended(server);
  },
});

test.use({ baseURL: async ({ secure }, use) => use(secure), ignoreHTTPSErrors: true });

test('over TLS somebody logs in, adds a machine, and sees it come and go', async ({
  page,
  context,
  t,
  api,
  machine,
  afterPage,
}) => {
  test.skip(test.info().project.name === 'phone', 'once is enough');
  await page.goto('/');
  await fillIn(page, t, ADMIN);
  await expect(accountButton(page, t)).toBeVisible();
  const session = (await context.cookies()).find(({ httpOnly }) => httpOnly);
  expect(session?.secure, 'the session is not sent in the clear').toBe(true);

  const name = nameOf('tls');
  await page.goto('/add');
  await page.getByLabel(t.common.name, { exact: true }).fill(name);
  await page.getByRole('button', { name: t.add.make }).click();
  const commands = await page.getByRole('region', { name: t.add.commands }).locator('pre').textContent();
  const agent = machine.run(commands ?? '', name);
  await expect(page.getByRole('article', { name }).getByText(t.common.status.online)).toBeVisible({ timeout: 30_000 });

  await page.goto(`/?q=${name}`);
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
  await expect(row, 'however busy this machine is').toContainText(/\d %/);
  await row.getByRole('link', { name, exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
  const id = page.url().split('/').at(-1) ?? '';
  afterPage.push(async () => void (await api.send('DELETE', `/api/agents/${id}`)));
  await expect(page.locator('[data-chart] canvas').first()).toBeVisible();

  await page.goto(`/?q=${name}`);
  await expect(row).toContainText(/\d %/);
  await expect(row).not.toContainText(t.common.status.offline);
  if (agent.pid !== undefined) process.kill(-agent.pid, 'SIGTERM');
  await expect(row).toContainText(t.common.status.offline);
});
