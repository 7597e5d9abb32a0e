// One machine in the browser: charts are zoomed, followed, compared and saved; gaps say why; who may do what.
import { readFileSync } from 'node:fs';
import type { Locator, Page } from '@playwright/test';
import { ADMIN, expect, test as base, type Api } from './fixtures';
import { makeMachine, sampleAt, type Machine, type Plan } from './histories';

const MINUTE = 60_000;

interface Machines {
  /** Makes a machine of this scenario alone. */
  make: (plan?: Partial<Plan>) => Promise<Machine>;
  /** One for all scenarios that only look. */
  machine: Machine;
}

let shared: Machine | undefined;

const test = base.extend<Machines>({
  make: async ({ baseURL, api }, use) => {
    let count = 0;
    await use((plan = {}) => {
      const { title, project, workerIndex, retry } = test.info();
      const name = `${title.replace(/\W+/g, '-').slice(0, 24)}-${project.name}-${workerIndex}${retry}-${++count}`;
      return makeMachine(baseURL ?? '', api, { name, fromMs: 12 * MINUTE, everyMs: 10_000, ...plan });
    });
  },
  machine: async ({ make }, use) => {
    shared ??= await make();
    await use(shared);
  },
});

// Scenarios that run at the same time share the administrator's charts, of which the server makes so many at once.
test.use({ expected: { '/api/agents/*/metrics': 429 } });

const plotOf = (page: Page, family = 'cpu') => page.locator(`[data-chart="chart-${family}"] .plot`);
const canvasOf = (page: Page, family = 'cpu') => page.locator(`[data-chart="chart-${family}"] canvas`);

async function open(page: Page, machine: Machine, search = '?range=15m') {
  await page.goto(`/agents/${machine.id}${search}`);
  await expect(page.getByRole('heading', { level: 1, name: machine.name })).toBeVisible();
  await expect(canvasOf(page)).toBeVisible();
}

/** The middle of the plotting area, and points beside it. */
async function areaOf(plot: Locator) {
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.locator('.u-over').boundingBox();
  if (!box) throw new Error('the chart is not there');
  return { ...box, x: (share: number) => box.x + box.width * share, middle: box.y + box.height / 2 };
}

async function drag(page: Page, plot: Locator, from: number, to: number) {
  const area = await areaOf(plot);
  await page.mouse.move(area.x(from), area.middle);
  await page.mouse.down();
  await page.mouse.move(area.x((from + to) / 2), area.middle);
  await page.mouse.move(area.x(to), area.middle);
  await page.mouse.up();
}

const ends = (page: Page) => {
  const search = new URL(page.url()).searchParams;
  return { from: Number(search.get('from')), to: Number(search.get('to')) };
};

const isZoomed = (url: URL) => url.searchParams.has('from') && url.searchParams.has('to');

test.describe('with a mouse', () => {
  test.skip(({ isMobile }) => isMobile, 'there is none');

  test('dragging zooms all charts, Back and a double click lead back', async ({ page, t, logIn, machine }) => {
    await logIn();
    await open(page, machine);
    const live = page.getByRole('button', { name: t.range.live, exact: true });
    await expect(live).toHaveAttribute('aria-pressed', 'true');

    const asked = page.waitForRequest((request) => /type=network/.test(request.url()) && /metrics/.test(request.url()));
    await drag(page, plotOf(page), 0.4, 0.8);
    await expect(page).toHaveURL(isZoomed);
    const { from, to } = ends(page);
    expect(Math.abs(to - from - 0.4 * 15 * MINUTE)).toBeLessThan(10_000);
    await expect(live).toHaveAttribute('aria-pressed', 'false');
    await asked;

    await drag(page, plotOf(page, 'memory'), 0.25, 0.75);
    await expect.poll(() => ends(page).to - ends(page).from).toBeLessThan((to - from) * 0.6);
    await page.goBack();
    await expect.poll(() => ends(page)).toEqual({ from, to });
    const area = await areaOf(plotOf(page));
    await page.mouse.dblclick(area.x(0.5), area.middle);
    await expect(page).not.toHaveURL(isZoomed);
    await expect(live).toHaveAttribute('aria-pressed', 'true');
    expect(new URL(page.url()).searchParams.has('at'), 'two clicks pin nothing').toBe(false);
  });

  test('Shift and dragging moves the span, Ctrl and the wheel zooms around the pointer', async ({
    page,
    logIn,
    machine,
  }) => {
    await logIn();
    const [from, to] = [machine.now - 8 * MINUTE, machine.now - 2 * MINUTE];
    await open(page, machine, `?from=${from}&to=${to}`);
    await page.keyboard.down('Shift');
    await drag(page, plotOf(page), 0.25, 0.5);
    await page.keyboard.up('Shift');
    await expect.poll(() => Math.abs(ends(page).from - (from - 1.5 * MINUTE))).toBeLessThan(5000);
    expect(ends(page).to - ends(page).from).toBe(to - from);

    const before = ends(page);
    const area = await areaOf(plotOf(page));
    await page.mouse.move(area.x(1) - 1, area.middle);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -100);
    await page.keyboard.up('Control');
    await expect.poll(() => ends(page).from).toBeGreaterThan(before.from);
    expect(Math.abs(ends(page).to - before.to)).toBeLessThan(5000);
  });

  test('one tooltip, the crosshair in all charts, a click pins it into the address', async ({
    page,
    logIn,
    machine,
  }) => {
    await logIn();
    const [from, to] = [machine.now - 10 * MINUTE, machine.now];
    await open(page, machine, `?from=${from}&to=${to}`);
    const area = await areaOf(plotOf(page));
    await page.mouse.move(area.x(0.5), area.middle);
    await expect(page.locator('.tooltip')).toHaveCount(1);
    await expect(page.locator('[data-chart="chart-cpu"] .tooltip')).toBeVisible();
    await expect(page.locator('[data-chart="chart-memory"] .chart-crosshair')).toBeVisible();
    await expect(page.locator('[data-chart="chart-cpu"] .chart-dot:visible')).not.toHaveCount(0);
    await expect(page.locator('[data-chart="chart-memory"] .chart-dot:visible')).toHaveCount(0);

    await page.mouse.click(area.x(0.5), area.middle);
    await expect(page).toHaveURL((url) => Math.abs(Number(url.searchParams.get('at')) - (from + to) / 2) < 5000);
    await page.mouse.move(0, 0);
    await expect(page.locator('.tooltip')).toHaveCount(0);
    await expect(page.locator('[data-chart="chart-load"] .chart-pin')).toBeVisible();
    await page.reload();
    await expect(page.locator('[data-chart="chart-cpu"] .chart-pin')).toBeVisible();
    await page.mouse.click(area.x(0.5), area.middle);
    await expect(page).toHaveURL((url) => !url.searchParams.has('at'));
  });

  test('a hole says why', async ({ page, t, logIn, make }) => {
    const machine = await make({ hole: { fromMs: 8 * MINUTE, untilMs: 4 * MINUTE, reason: 'spool_full' } });
    await logIn();
    const [from, to] = [machine.now - 12 * MINUTE, machine.now];
    await open(page, machine, `?from=${from}&to=${to}`);
    await expect(page.getByText(t.chart.holes.spool_full)).toContainText(t.chart.dropped('42'));
    const area = await areaOf(plotOf(page));
    await page.mouse.move(area.x(0.5), area.middle);
    await expect(page.locator('.tooltip')).toContainText(t.chart.holes.spool_full);
    await page.mouse.move(area.x(0.05), area.middle);
    await expect(page.locator('.tooltip')).not.toContainText(t.chart.holes.spool_full);
  });

  test('a hole whose reason nobody knows says that', async ({ page, t, logIn, make }) => {
    const machine = await make({ hole: { fromMs: 8 * MINUTE, untilMs: 4 * MINUTE } });
    await logIn();
    await open(page, machine, `?from=${machine.now - 12 * MINUTE}&to=${machine.now}`);
    await expect(page.getByText(t.machine.gaps.none)).toBeVisible();
    const area = await areaOf(plotOf(page));
    await page.mouse.move(area.x(0.5), area.middle);
    await expect(page.locator('.tooltip')).toContainText(t.chart.holes.unknown);
  });

  test('last week is drawn over this one, with the difference', async ({ page, t, logIn, machine }) => {
    await logIn();
    const week = 7 * 24 * 60 * MINUTE;
    // The server takes no samples of last week: this week's serve, two percentage points higher.
    await page.route(/\/metrics\?.*type=cpu/, async (route) => {
      const url = new URL(route.request().url());
      const end = Number(url.searchParams.get('end'));
      if (end > machine.now - week / 2) return route.fallback();
      for (const name of ['start', 'end']) {
        url.searchParams.set(name, String(Number(url.searchParams.get(name)) + week));
      }
      const response = await route.fetch({ url: url.href });
      const body = (await response.json()) as { timestamps: number[]; series: { avg: number[] }[] };
      body.timestamps = body.timestamps.map((at) => at - week);
      for (const series of body.series) series.avg = series.avg.map((value) => value + 2);
      return route.fulfill({ response, json: body });
    });
    await open(page, machine, `?from=${machine.now - 10 * MINUTE}&to=${machine.now}`);
    const asked = page.waitForRequest((request) => {
      const url = new URL(request.url());
      return (
        url.searchParams.get('type') === 'cpu' && Number(url.searchParams.get('end')) <= machine.now - week + MINUTE
      );
    });
    await page.getByLabel(t.range.compareWith).selectOption('week');
    await expect(page).toHaveURL((url) => url.searchParams.get('vs') === 'week');
    await asked;
    await expect(async () => {
      const area = await areaOf(plotOf(page));
      await page.mouse.move(area.x(0.4), area.middle);
      await page.mouse.move(area.x(0.5), area.middle);
      await expect(page.locator('.tooltip')).toContainText('Δ −2 %', { timeout: 500 });
    }).toPass();
  });

  test('a line is hidden by its legend, virtual interfaces are hidden at first', async ({
    page,
    t,
    logIn,
    machine,
  }) => {
    await logIn();
    await open(page, machine);
    const network = page.locator('[data-chart="chart-network"]');
    await network.scrollIntoViewIfNeeded();
    await expect(network.getByRole('button', { name: /eth0 ↓/ })).toHaveAttribute('aria-pressed', 'true');
    await expect(network.getByRole('button', { name: /lo ↓/ })).toHaveCount(0);
    await network.getByRole('button', { name: t.chart.hiddenLines(4) }).click();
    await expect(network.getByRole('button', { name: /lo ↓/ })).toBeVisible();
    await network.getByRole('button', { name: /eth0 ↑/ }).click();
    await expect(page).toHaveURL((url) => url.searchParams.getAll('hide').includes('network:eth0:out'));
    await page.reload();
    await network.scrollIntoViewIfNeeded();
    await expect(network.getByRole('button', { name: /eth0 ↑/ })).toHaveAttribute('aria-pressed', 'false');
  });
});

test('new samples appear by themselves while it is live', async ({ page, t, logIn, machine }) => {
  await logIn();
  const fresh = sampleAt(machine.now + 1000, { name: machine.name }) as unknown as { cpu: object; memory: object };
  await page.route('**/metrics/latest', async (route) => {
    const response = await route.fetch();
    const body = (await response.json()) as { cpu: object };
    body.cpu = { ...fresh.cpu, timestamp: new Date().getTime(), usagePercent: 99.5 };
    return route.fulfill({ response, json: body });
  });
  await open(page, machine, '?range=15m');
  const legend = page.locator('[data-chart="chart-cpu"] .legend');
  await expect(legend).toContainText('100 %', { timeout: 15_000 });
  await page.getByRole('button', { name: t.range.live, exact: true }).click();
  await expect(page).toHaveURL((url) => url.searchParams.get('live') === '0');
});

test('the keyboard is enough', async ({ page, t, logIn, machine, isMobile }) => {
  test.skip(isMobile, 'there is none');
  await logIn();
  await open(page, machine);
  await page.keyboard.press('3');
  await expect(page.getByRole('link', { name: '6h', exact: true })).toHaveAttribute('aria-current', 'true');
  await page.keyboard.press('1');
  await page.keyboard.press('ArrowLeft');
  await expect(page).toHaveURL(isZoomed);
  await page.keyboard.press('0');
  await expect(page).not.toHaveURL(isZoomed);
  await page.keyboard.press('t');
  await expect(page.getByRole('dialog', { name: t.range.absolute })).toBeVisible();
  await page.keyboard.press('Escape');

  await page.getByRole('application', { name: new RegExp(`^${t.chart.families.cpu}`) }).focus();
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowLeft');
  await expect(page.locator('[data-chart="chart-cpu"] [role=status]')).toContainText(t.chart.metrics.usagePercent);
  for (let i = 0; i < 5; i++) await page.keyboard.press('Shift+ArrowLeft');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(isZoomed);
});

test('times are chosen in the zone that is shown', async ({ page, t, logIn, machine, checkAccessible }) => {
  await logIn();
  await page.addInitScript(() => localStorage.setItem('pika.preferences', '{"zone":"Asia/Kathmandu"}'));
  await open(page, machine);
  await page.getByTitle(t.range.absolute).click();
  const dialog = page.getByRole('dialog', { name: t.range.absolute });
  await checkAccessible();
  await dialog.getByLabel(t.range.from).fill('2026-11-24T12:00');
  await dialog.getByLabel(t.range.to).fill('2026-11-24T11:00');
  await dialog.getByRole('button', { name: t.range.show }).click();
  await expect(dialog.getByText(t.range.wrongOrder)).toBeVisible();
  await dialog.getByLabel(t.range.to).fill('2026-11-24T13:00');
  await dialog.getByRole('button', { name: t.range.show }).click();
  await expect(page).toHaveURL((url) => Number(url.searchParams.get('from')) === Date.UTC(2026, 10, 24, 6, 15));
});

test('a span without samples says how old the newest is, and leads there', async ({ page, t, logIn, machine }) => {
  await logIn();
  const to = machine.now - 120 * MINUTE;
  await open(page, machine, `?from=${to - 10 * MINUTE}&to=${to}`);
  const cpu = page.locator('[data-chart="chart-cpu"]');
  await expect(cpu.getByText(t.chart.noSamples)).toBeVisible();
  await cpu.getByRole('button', { name: t.chart.goThere }).click();
  await expect.poll(() => ends(page).to).toBeGreaterThan(machine.now - MINUTE);
  await expect(cpu.getByText(t.chart.noSamples)).toBeHidden();
});

interface Answer {
  timestamps: number[];
  series: { metric: string; avg: (number | null)[]; max: (number | null)[] }[];
}

/** What the API says about the span in the address, as points of time and value. */
async function fromApi(api: Api, path: string, metric: string, { from, to }: { from: number; to: number }) {
  const { timestamps, series } = await api.send<Answer>('GET', path);
  const { avg = [], max = [] } = series.find((one) => one.metric === metric) ?? {};
  return timestamps.flatMap((at, i) =>
    typeof avg[i] === 'number' && at >= from && at < to ? [`${new Date(at).toISOString()} ${avg[i]} ${max[i]}`] : [],
  );
}

test('the CSV is what the API says', async ({ page, t, api, logIn, make }) => {
  const machine = await make({ name: `=cmd-${test.info().project.name}-${test.info().retry}` });
  await logIn();
  const [from, to] = [machine.now - 10 * MINUTE, machine.now].map((at) => Math.floor(at / MINUTE) * MINUTE);
  const asked = page.waitForRequest((request) => /type=cpu/.test(request.url()));
  await open(page, machine, `?from=${from}&to=${to}`);
  const { pathname, search } = new URL((await asked).url());
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: t.range.exportCsv }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/^pika_.*\.csv$/);
  const [head = '', ...rows] = readFileSync(await download.path(), 'utf8')
    .trim()
    .split('\r\n');
  const names = head.split(',');
  const cells = rows.map((row) => Object.fromEntries(row.split(',').map((cell, i) => [names[i], cell])));
  expect(new Set(cells.map((row) => row['machine']))).toEqual(new Set([`'${machine.name}`]));
  expect(new Set(cells.map((row) => row['family']))).toEqual(new Set(['cpu', 'memory', 'disk', 'network', 'load']));
  expect(
    cells.some((row) => row['name'] === 'lo'),
    'what is hidden is not exported',
  ).toBe(false);
  const cpu = cells.filter((row) => row['metric'] === 'usagePercent' && row['family'] === 'cpu');
  const said = await fromApi(api, pathname + search, 'usagePercent', { from: from ?? 0, to: to ?? 0 });
  expect(said.length).toBeGreaterThan(20);
  expect(cpu.map((row) => `${row['time']} ${row['avg']} ${row['max']}`)).toEqual(said);
});

test('what the machine is stands beside its charts', async ({ page, t, logIn, machine }) => {
  await logIn();
  await open(page, machine);
  const facts = page.getByRole('heading', { name: t.machine.facts.title }).locator('..');
  for (const fact of ['Debian GNU/Linux 13', '6.12.41+deb13-amd64', 'AMD EPYC 9354', '16 GiB', 'kvm']) {
    await expect(facts).toContainText(fact);
  }
  await expect(facts).toContainText(t.machine.facts.booted);
});

test('a chart is saved as a picture', async ({ page, t, logIn, machine }) => {
  await logIn();
  await open(page, machine);
  await page.getByRole('button', { name: t.chart.actions(t.chart.families.cpu) }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: t.chart.savePicture }).click(),
  ]);
  const picture = readFileSync(await download.path());
  expect(picture.subarray(1, 4).toString()).toBe('PNG');
  expect(picture.length).toBeGreaterThan(5000);
});

test.describe('a machine that is not there', () => {
  const id = '01234567-89ab-7def-8123-456789abcdef';
  test.use({ expected: { [`/api/agents/${id}`]: 404 } });

  for (const path of [id, '7', '..%2F']) {
    test(`is said so: ${path}`, async ({ page, t, logIn }) => {
      await logIn();
      await page.goto(`/agents/${path}`);
      await expect(page.getByRole('heading', { level: 2, name: t.machine.unknown.title })).toBeVisible();
    });
  }
});

test.describe('administration', () => {
  // What the page had asked for when the machine was deleted.
  test.use({
    expected: {
      '/api/agents/*': 409,
      '/api/agents/*/metrics': [404, 429],
      '/api/agents/*/gaps': 404,
      '/api/agents/*/presence': 404,
    },
  });

  test('administrators edit, renew, revoke and delete, and are told what happens', async ({
    page,
    t,
    api,
    logIn,
    make,
    checkAccessible,
  }) => {
    const machine = await make({ fromMs: MINUTE });
    const agent = () =>
      api.send<{ name: string; tags: string[]; note: string; revoked: boolean }>('GET', `/api/agents/${machine.id}`);
    await logIn();
    await open(page, machine);
    const menu = page.getByRole('button', { name: t.machine.administration });
    const choose = async (name: string) => {
      await menu.click();
      await page.getByRole('menuitem', { name }).click();
    };

    await choose(t.machine.edit.action);
    const edit = page.getByRole('dialog', { name: t.machine.edit.title });
    await edit.getByLabel(t.machine.edit.tags).fill('prod, <b>eu</b>');
    await edit.getByLabel(t.machine.edit.note).fill('Ask Ada.\n<script>alert(1)</script>');
    await checkAccessible();
    await edit.getByRole('button', { name: t.machine.edit.save }).click();
    await expect(page.getByText('<b>eu</b>')).toBeVisible();
    await expect(page.getByText('Ask Ada.')).toBeVisible();
    expect(await agent()).toMatchObject({ name: machine.name, tags: ['prod', '<b>eu</b>'] });

    // What somebody else says meanwhile is not overwritten.
    await choose(t.machine.edit.action);
    await api.send('PUT', `/api/agents/${machine.id}`, { name: machine.name, tags: ['theirs'], note: 'theirs' });
    await edit.getByLabel(t.machine.edit.note).fill('mine');
    await edit.getByRole('button', { name: t.machine.edit.save }).click();
    await expect(edit.getByRole('alert')).toHaveText(t.common.changedMeanwhile);
    await edit.getByRole('button', { name: t.common.cancel }).click();
    await expect(page.getByText('theirs').first()).toBeVisible();

    await choose(t.machine.enroll.action);
    await expect(page.getByRole('dialog')).toContainText(t.machine.enroll.text(machine.name));
    await page.getByRole('button', { name: t.machine.enroll.confirm }).click();
    await expect(page.getByText(/PIKA_ENROLLMENT_TOKEN=pika_enroll_\S+ pika-agent enroll --server http/)).toBeVisible();
    await page.getByRole('button', { name: t.machine.enroll.done }).click();
    await expect(page.getByText(/pika_enroll_/)).toHaveCount(0);

    await choose(t.machine.revoke.action);
    await page.getByRole('dialog').getByRole('button', { name: t.common.cancel }).click();
    expect((await agent()).revoked).toBe(false);
    await choose(t.machine.revoke.action);
    await page.getByRole('button', { name: t.machine.revoke.confirm, exact: true }).click();
    await expect(page.getByText(t.machine.revoked)).toBeVisible();
    expect((await agent()).revoked).toBe(true);

    await choose(t.machine.delete.action);
    const confirm = page.getByRole('button', { name: t.machine.delete.confirm, exact: true });
    await expect(confirm).toBeDisabled();
    await page.getByLabel(t.machine.delete.typeName(machine.name)).fill(machine.name);
    await confirm.click();
    await expect(page).toHaveURL('/');
    await expect(agent()).rejects.toThrow(/404/);
  });
});

test('whoever is no administrator sees no administration', async ({ page, t, api, logIn, make }) => {
  const machine = await make({ fromMs: MINUTE });
  const user = { username: `reader-${test.info().project.name}-${test.info().retry}`, password: ADMIN.password };
  await api.send('POST', '/api/users', user);
  await logIn(user);
  await open(page, machine);
  await expect(page.getByRole('button', { name: t.machine.administration })).toHaveCount(0);
});

test('fits a phone of 320 pixels', async ({ page, logIn, make }) => {
  const machine = await make({
    name: `a-very-long-name-of-a-machine-that-nobody-would-read-aloud-${test.info().project.name}`,
  });
  await logIn();
  await page.setViewportSize({ width: 320, height: 700 });
  await open(page, machine);
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
});

test.describe('with a finger', () => {
  test.skip(({ isMobile }) => !isMobile, 'there is none');

  test('a tap shows values, which stay', async ({ page, logIn, machine }) => {
    await logIn();
    await open(page, machine);
    const area = await areaOf(plotOf(page));
    await page.touchscreen.tap(area.x(0.5), area.middle);
    await expect(page.locator('[data-chart="chart-cpu"] .tooltip')).toBeVisible();
    await expect(page).toHaveURL((url) => !url.searchParams.has('at'));
  });
});
