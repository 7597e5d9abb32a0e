// The fleet's page: what it shows of two hundred machines, what the address says, and what changes while one looks.
import type { Page } from '@playwright/test';
import type { Messages } from '../src/lib/i18n/en';
import { expect, makeUser } from './fixtures';
import { nameOf, test, VALUES } from './machines';

const isPhone = () => test.info().project.name === 'phone';
/** What shows a machine: a row, or a card on a phone. */
const machine = (page: Page, name: string) =>
  page.getByRole(isPhone() ? 'listitem' : 'row').filter({ has: page.getByText(name, { exact: true }) });
const rows = (page: Page) => page.locator(isPhone() ? '[role="listitem"]:has(strong)' : '[data-index]:has(a)');
const names = (page: Page) => page.locator('[data-index] a bdi, [role="listitem"] strong bdi').allTextContents();
const searchField = (page: Page, t: Messages) => page.getByRole('searchbox', { name: t.fleet.search });

test.beforeEach(async ({ logIn }) => logIn());

test('a filter and an order are a link, which shows the same to whoever opens it', async ({
  page,
  t,
  context,
  browser,
}) => {
  await page.goto('/');
  await searchField(page, t).fill('web-00');
  await expect(page).toHaveURL('/?q=web-00');
  await page.getByRole('combobox', { name: t.fleet.status }).selectOption('online');
  await page.getByRole('button', { name: t.fleet.tags, exact: true }).click();
  await page.getByRole('menuitemcheckbox', { name: 'prod' }).click();
  await page.keyboard.press('Escape');
  if (isPhone()) {
    await page.getByRole('button', { name: t.fleet.view }).click();
    await page.getByRole('menuitemradio', { name: t.fleet.columns.name }).click();
    await page.keyboard.press('Escape');
  } else {
    const head = page.getByRole('columnheader', { name: t.fleet.columns.name });
    await head.getByRole('link').click();
    await expect(head).toHaveAttribute('aria-sort', 'descending');
  }
  await expect(page).toHaveURL('/?q=web-00&status=online&tag=prod&sort=-name');
  const shown = await names(page);
  expect(shown.length).toBeGreaterThan(2);
  if (!isPhone()) expect(shown).toEqual([...shown].sort().reverse());

  const fresh = await browser.newContext();
  await fresh.addCookies(await context.cookies());
  const other = await fresh.newPage();
  await other.setViewportSize(page.viewportSize() ?? { width: 1280, height: 720 });
  await other.goto(page.url());
  await expect.poll(() => names(other)).toEqual(shown);
  await fresh.close();

  await page.goBack();
  await expect(page, 'a choice can be taken back').toHaveURL('/?q=web-00&status=online&tag=prod');
});

test('nonsense in the address does no harm', async ({ page }) => {
  await page.goto('/?sort=-colour&status=purple&cols=cpu,colour&view=cards&group=x');
  await expect(rows(page).first()).toBeVisible();
});

test('the trend of the fleet is a link, ranks machines, and follows the tag', async ({ page, t, checkAccessible }) => {
  await page.goto('/');
  await page.getByRole('link', { name: t.fleet.trend.title }).click();
  await expect(page).toHaveURL('/?trend=cpuUsagePercent');
  const trend = page.getByRole('region', { name: t.fleet.trend.title, exact: true });
  await expect(trend.getByRole('listitem').filter({ has: page.getByRole('link', { name: /-/ }) })).toHaveCount(5);
  await expect(trend.getByText(t.fleet.trend.median).first()).toBeVisible();
  await checkAccessible();
  await trend.getByLabel(t.fleet.trend.metric).selectOption('receivedBytesPerSecond');
  await trend.getByRole('link', { name: '15m' }).click();
  await expect(page).toHaveURL('/?trend=receivedBytesPerSecond&range=15m');
  await expect(trend.getByText(t.fleet.trend.sum).first()).toBeVisible();
  const asked = page.waitForRequest((request) => /fleet\/top.*by=max.*tag=eu/.test(request.url()));
  await trend.getByLabel(t.fleet.trend.by).selectOption('max');
  await page.goto('/?trend=receivedBytesPerSecond&tag=eu');
  await trend.getByLabel(t.fleet.trend.by).selectOption('max');
  await asked;
  await expect(trend.getByRole('heading', { name: /eu/ })).toBeVisible();
  await trend.getByRole('button', { name: t.fleet.trend.close }).click();
  await expect(page).toHaveURL('/?tag=eu');
});

test('nothing matches: what is in the way can be taken away', async ({ page, t, checkAccessible }) => {
  await page.goto('/?q=no-such-machine&status=offline&tag=prod');
  await expect(page.getByRole('heading', { level: 2 })).toContainText(/\b0\b|没有/);
  await checkAccessible();
  await page.getByRole('button', { name: t.fleet.removeFilter(t.fleet.text('no-such-machine')) }).click();
  await expect(page).toHaveURL('/?status=offline&tag=prod');
  await expect(rows(page).first()).toBeVisible();
  await page.goto('/?q=no-such-machine&status=offline');
  await page.getByRole('button', { name: t.fleet.removeAll }).click();
  await expect(page).toHaveURL('/');
});

test('machines are grouped by tag, and a group stays closed in a link', async ({ page, t }) => {
  await page.goto('/?q=web-00');
  await page.getByRole('button', { name: t.fleet.view }).click();
  await page.getByRole('menuitemcheckbox', { name: t.fleet.groupByTag }).click();
  await page.keyboard.press('Escape');
  await expect(page).toHaveURL('/?q=web-00&group=tag');
  const group = page.getByRole('button', { expanded: true }).filter({ hasText: 'eu' });
  await group.click();
  await expect(page).toHaveURL('/?q=web-00&group=tag&closed=eu');
  await page.reload();
  await expect(page.getByRole('button', { expanded: false }).filter({ hasText: 'eu' })).toBeVisible();
});

test('only what is in the window is drawn', async ({ page }) => {
  await page.goto('/');
  await expect(rows(page).first()).toBeVisible();
  expect(await rows(page).count()).toBeLessThan(60);
  if (!isPhone()) {
    const total = Number(await page.getByRole('grid').getAttribute('aria-rowcount'));
    expect(total).toBeGreaterThan(200);
  }
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await expect(machine(page, 'web-040')).toBeVisible();
});

test('what a machine reports shows at once, and too much of it as what it is', async ({ page, t, enroll }) => {
  const agent = await enroll(nameOf('live'), ['scenario']);
  agent.report(VALUES);
  await page.goto(`/?q=${agent.name}`);
  const row = machine(page, agent.name);
  await expect(row).toContainText('21 %');
  await expect(row).toContainText(t.common.status.online);
  agent.report({ ...VALUES, cpu: 96.4 });
  await expect(row).toContainText('96 %');
  await expect(row).toContainText(t.common.status.critical);
  await expect(page).toHaveTitle(new RegExp(`^\\(\\d+\\) ${t.fleet.title} · Pika$`));
  await expect(page.locator('link[rel="icon"]')).toHaveAttribute('href', /^blob:/);
});

test('a machine that is enrolled while one looks shows up by itself', async ({ page, enroll }) => {
  const name = nameOf('newcomer');
  await page.goto(`/?q=${name}`);
  await expect(page.getByRole('heading', { level: 2 })).toBeVisible();
  const agent = await enroll(name);
  agent.report(VALUES);
  await expect(machine(page, name)).toContainText('21 %');
});

test('a machine that stops becomes a ring that keeps its last values, and comes back', async ({ page, t, enroll }) => {
  const agent = await enroll(nameOf('stops'));
  agent.report({ ...VALUES, cpu: 33 });
  await page.goto(`/?q=${agent.name}`);
  const row = machine(page, agent.name);
  await expect(row).toContainText('33 %');
  await expect(row).toContainText(t.common.status.online);
  agent.close();
  await expect(row).toContainText(t.common.status.offline, { timeout: 10_000 });
  await expect(row.locator('circle.ring')).toBeVisible();
  await expect(row, 'never zeros').toContainText('33 %');
  await agent.connect();
  agent.report({ ...VALUES, cpu: 44 });
  await expect(row).toContainText('44 %');
  await expect(row).toContainText(t.common.status.online);
});

test('the last hour of a machine is drawn at once', async ({ page, enroll }) => {
  const agent = await enroll(nameOf('hour'));
  const intervalMs = 120_000;
  await page.route('**/api/agents/metrics/sparklines?*', async (route) => {
    const points = Number(new URL(route.request().url()).searchParams.get('points'));
    const start = (Math.floor(new Date().getTime() / intervalMs) - points + 1) * intervalMs;
    const avg = Array.from({ length: points }, (_, i) => 20 + i);
    const items = [{ agentId: agent.id, avg, max: avg }];
    await route.fulfill({ json: { metric: 'cpuUsagePercent', start, intervalMs, tier: '1m', items } });
  });
  await page.goto(`/?q=${agent.name}`);
  /** How much of the line's width is drawn on, from 0 to 1. */
  const drawn = () =>
    machine(page, agent.name)
      .locator('canvas')
      .evaluate((canvas: HTMLCanvasElement) => {
        const { width, height } = canvas;
        const pixels = canvas.getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
        const columns = new Set<number>();
        for (let i = 0; i < width * height; i += 1) if (pixels[4 * i + 3]) columns.add(i % width);
        return columns.size / width;
      });
  await expect.poll(drawn).toBeGreaterThan(0.9);
});

test('tiles show the whole fleet, each with its name and its state', async ({ page, t }) => {
  await page.goto('/');
  await page.getByRole('link', { name: t.fleet.tiles }).click();
  await expect(page).toHaveURL('/?view=tiles');
  const tile = page.getByRole('link', { name: /^db-001 · / });
  await expect(tile).toHaveAccessibleName(/CPU \d/);
  await expect(tile).toHaveAttribute('href', /^\/agents\/[0-9a-f-]{36}$/);
});

test('columns are chosen, the choice is in the address and may be kept', async ({ page, t, api, logIn }) => {
  test.skip(isPhone(), 'cards have no columns');
  await logIn(await makeUser(api, 'columns'));
  await page.goto('/');
  await page.getByRole('button', { name: t.fleet.view }).click();
  await page.getByRole('menuitemcheckbox', { name: t.fleet.columns.load }).click();
  await page.getByRole('menuitemcheckbox', { name: t.fleet.columns.version }).click();
  await expect(page).toHaveURL('/?cols=cpu%2Cmemory%2Cdisk%2Creceived%2Csent%2Cseen%2Cversion');
  await page.getByRole('menuitemradio', { name: t.fleet.densities.comfortable }).click();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('columnheader', { name: t.fleet.columns.load })).toHaveCount(0);
  await expect(page.getByRole('columnheader', { name: t.fleet.columns.version })).toBeVisible();
  expect((await rows(page).first().boundingBox())?.height).toBe(40);

  const choose = async (name: string) => {
    await page.getByRole('button', { name: t.fleet.view }).click();
    await page.getByRole('menuitem', { name }).click();
    await page.keyboard.press('Escape');
  };
  await choose(t.fleet.preferColumns);
  await expect(page).toHaveURL('/');
  await page.reload();
  await expect(page.getByRole('columnheader', { name: t.fleet.columns.version })).toBeVisible();
  await choose(t.fleet.usualColumns);
  await expect(page).toHaveURL('/');
  await expect(page.getByRole('columnheader', { name: t.fleet.columns.version })).toHaveCount(0);
});

test('a narrow window shows trouble first, and scrolls in one direction', async ({ page, t }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  for (const address of ['/', '/?view=tiles&group=tag', '/?q=nothing-like-it&tag=prod']) {
    await page.goto(address);
    await expect(page.getByRole('heading', { level: 1 })).toBeAttached();
    await expect(searchField(page, t)).toBeVisible();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, address).toBeLessThanOrEqual(0);
  }
  await page.goto('/');
  const first = page
    .getByRole('listitem')
    .filter({ has: page.locator('strong') })
    .first();
  await expect(first).toContainText(new RegExp(`${t.common.status.critical}|${t.common.status.conflict}`));
});

test('an empty fleet leads to adding a machine', async ({ page, t }) => {
  await page.route(/\/api\/agents(\/metrics\/latest)?$/, (route) => route.fulfill({ json: { items: [], total: 0 } }));
  await page.goto('/');
  await expect(page.getByRole('heading', { name: t.fleet.empty.title })).toBeVisible();
  await expect(page.getByRole('link', { name: t.fleet.empty.add })).toHaveAttribute('href', '/add');
});

test.describe('a list that cannot be read', () => {
  test.use({ expected: { '/api/agents': 500 } });

  test('is said so, with what the log calls it, and is read again', async ({ page, t }) => {
    let isBroken = true;
    await page.route('/api/agents', (route) =>
      isBroken
        ? route.fulfill({ status: 500, json: { code: 'internal', message: 'broken', requestId: 'r-17' } })
        : route.fallback(),
    );
    await page.goto('/');
    await expect(page.getByRole('alert')).toContainText('r-17');
    isBroken = false;
    await page.getByRole('alert').getByRole('button', { name: t.common.retry }).click();
    await expect(rows(page).first()).toBeVisible();
  });
});

test.describe('the menu of a row', () => {
  // Scenarios that run at the same time share the administrator's charts, of which the server makes so many at once.
  test.use({ expected: { '/api/agents/*/metrics': 429 } });

  test('changes the machine and compares it', async ({ page, t, enroll, checkAccessible }) => {
    test.skip(isPhone(), 'cards have no menu');
    const name = nameOf('row');
    const machine = await enroll(name, ['before']);
    await page.goto(`/?q=${name}`);
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
    const menu = row.getByRole('button', { name: t.fleet.actions(name) });
    await row.hover();
    await menu.click();
    await checkAccessible();
    await page.getByRole('menuitem', { name: t.machine.edit.action }).click();
    const dialog = page.getByRole('dialog', { name: t.machine.edit.title });
    await dialog.getByLabel(t.machine.edit.tags).fill('after');
    await dialog.getByRole('button', { name: t.machine.edit.save }).click();
    await expect(row).toContainText('after');
    await expect(page).toHaveURL(`/?q=${name}`);
    // By keys: from the row's link to its menu.
    await row.getByRole('link', { name, exact: true }).focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('menuitem', { name: t.machine.compareWith })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(`/compare?id=${machine.id}`);
  });
});
