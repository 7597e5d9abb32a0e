// Adding machines: a real agent follows what the page says and comes online there; tokens that end say so.
import type { Page } from '@playwright/test';
import type { Messages } from '../src/lib/i18n/en';
import { expect } from './fixtures';
import { test } from './real-agent';

const commandsOf = (page: Page, t: Messages) => page.getByRole('region', { name: t.add.commands }).locator('pre');

async function makeToken(page: Page, t: Messages, name: string) {
  await page.goto('/add');
  await page.getByLabel(t.common.name, { exact: true }).fill(name);
  await page.getByRole('button', { name: t.add.make }).click();
  await expect(page.getByText(t.add.waitingFor)).toBeVisible();
}

/** Nothing but the page's own memory knows a secret. */
async function expectNowhere(page: Page, secret: string) {
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state]));
  expect(kept).not.toContain(secret);
  expect(page.url()).not.toContain(secret);
}

test('a machine follows the commands and comes online without a reload', async ({
  page,
  t,
  logIn,
  machine,
  checkAccessible,
}) => {
  const name = `edge-${test.info().project.name}-${test.info().retry}`;
  await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await logIn();
  await makeToken(page, t, name);
  await checkAccessible();
  await page.evaluate(() => Object.assign(window, { isSamePage: true }));

  const shown = (await commandsOf(page, t).textContent()) ?? '';
  const token = /pika_enroll_[\w.-]+/.exec(shown)?.[0] ?? '';
  expect(token).not.toBe('');
  await expectNowhere(page, token);
  await page.getByRole('button', { name: t.add.copyCommand }).click();
  await expect(page.getByRole('button', { name: t.common.copied })).toBeVisible();

  machine.run(shown, name);
  const joined = page.getByRole('article', { name });
  await expect(joined.getByText(t.common.status.online)).toBeVisible({ timeout: 30_000 });
  await expect(joined.getByText(/CPU \d/)).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText(t.add.allJoined)).toBeVisible();
  await checkAccessible();
  expect(await page.evaluate(() => 'isSamePage' in window)).toBe(true);

  await joined.getByRole('button', { name: t.add.describe }).click();
  await page.getByRole('textbox', { name: t.add.tags }).fill('lab, edge');
  await page.getByRole('button', { name: t.common.save }).click();
  await expect(joined.getByText('lab')).toBeVisible();
  await expect(joined.getByRole('link', { name: t.add.open })).toHaveAttribute('href', /^\/agents\/[\w-]+$/);

  await page.goto('/settings/enrollments');
  const row = page.getByRole('row').filter({ hasText: name });
  await expect(row.getByText(t.settings.enrollments.states.usedUp)).toBeVisible();
  await expect(page.locator('body')).not.toContainText(token);
});

test('the page of a machine shows all that its agent reports', async ({ page, t, logIn, machine, checkAccessible }) => {
  const name = `parts-${test.info().project.name}-${test.info().retry}`;
  await logIn();
  await makeToken(page, t, name);
  machine.run((await commandsOf(page, t).textContent()) ?? '', name);
  const joined = page.getByRole('article', { name });
  await expect(joined.getByText(/CPU \d/)).toBeVisible({ timeout: 30_000 });
  await joined.getByRole('link', { name: t.add.open }).click();

  // What every Linux has: the newest values at once, and their history with a chart.
  const kernel = page.locator('details[data-family="kernel"]');
  await kernel.getByText(t.families.titles.kernel).click();
  await expect(kernel.getByRole('term').filter({ hasText: /open files max|打开文件上限/ })).toBeVisible();
  await expect(kernel.locator('canvas').first()).toBeVisible();
  // Of several series, a table.
  const links = page.locator('details[data-family="link"]');
  if ((await links.count()) > 0) {
    await links.getByText(t.families.titles.link).click();
    await expect(links.getByRole('columnheader', { name: t.families.name })).toBeVisible();
  }
  // Nothing is half under the bar at the top.
  await page.evaluate(() => scrollTo(0, 0));
  await checkAccessible();
});

test.describe('a token that is ended', () => {
  test.use({ expected: { '/api/enrollments/*': 404 } });

  test('the commands fit the way that the agent runs, and the token survives the choice', async ({
    page,
    t,
    logIn,
  }) => {
    await logIn();
    await makeToken(page, t, 'ways');
    const token = /pika_enroll_[\w.-]+/.exec((await commandsOf(page, t).textContent()) ?? '')?.[0] ?? '';
    await page.getByRole('radio', { name: t.add.kinds.docker }).check();
    await expect(page).toHaveURL('/add?kind=docker');
    await expect(commandsOf(page, t)).toContainText(token);
    await expect(commandsOf(page, t)).toContainText('docker run');
    await page.getByRole('radio', { name: t.add.kinds.systemd }).check();
    await expect(commandsOf(page, t)).toContainText('/etc/pika/agent.env');
    await page.getByRole('radio', { name: t.add.kinds.manual }).check();
    await expect(page.getByText(token)).toBeVisible();
    await page.getByRole('button', { name: t.add.end }).click();
    await page.getByRole('dialog').getByRole('button', { name: t.add.end }).click();
    await expect(page.getByText(t.add.ended)).toBeVisible();
    await expect(page.getByText(token), 'what is of no use is shown no longer').toBeHidden();
  });
});

test('where the server offers agents, the script comes first, and the token apart from it', async ({
  page,
  t,
  logIn,
  checkAccessible,
}) => {
  const sum = 'a'.repeat(64);
  await page.route('/install/SHA256SUMS', (route) => route.fulfill({ body: `${sum}  agent.sh\n` }));
  await logIn();
  await makeToken(page, t, 'script');
  await expect(page.getByRole('radio', { name: t.add.kinds.script })).toBeChecked();
  await expect(commandsOf(page, t)).toContainText('/install/agent.sh');
  await expect(commandsOf(page, t)).toContainText(`echo '${sum}  pika.sh' | sha256sum -c`);
  await expect(commandsOf(page, t)).not.toContainText('pika_enroll_');
  await expect(page.getByText(/^pika_enroll_/)).toBeVisible();
  await checkAccessible();
});

test('a token that expires says so, and lets nobody in', async ({ page, t, logIn, machine }) => {
  await page.route('/api/enrollments', (route) => {
    if (route.request().method() !== 'POST') return route.fallback();
    const body = route.request().postDataJSON() as object;
    // As soon as the page has shown it.
    return route.continue({ postData: JSON.stringify({ ...body, expiresAt: new Date().getTime() + 3000 }) });
  });
  await logIn();
  await makeToken(page, t, 'expires');
  const [enroll] = ((await commandsOf(page, t).textContent()) ?? '').split('pika-agent run');
  await expect(page.getByText(t.add.ended)).toBeVisible();
  const agent = machine.run(enroll ?? '');
  let said = '';
  agent.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  expect(await new Promise((resolve) => agent.once('close', resolve))).not.toBe(0);
  expect(said).toContain('token');
  await page.goto('/settings/enrollments');
  await expect(page.getByText(t.settings.enrollments.states.ended).first()).toBeVisible();
});

test('when nothing comes for two minutes, the page says what to look at', async ({
  page,
  t,
  logIn,
  checkAccessible,
}) => {
  await logIn();
  await page.clock.install();
  await page.goto('/add');
  await page.getByRole('button', { name: t.add.make }).click();
  await expect(page.getByText(t.add.waitingFor)).toBeVisible();
  await page.clock.fastForward('01:30');
  await expect(page.getByText('01:3', { exact: false })).toBeVisible();
  await expect(page.getByText(t.add.nothing)).toBeHidden();
  await page.clock.fastForward('00:40');
  await expect(page.getByText(t.add.nothing)).toBeVisible();
  await checkAccessible();
});

test('an address that is none is not put into commands', async ({ page, t, logIn }) => {
  await logIn();
  await page.goto('/add');
  const address = page.getByLabel(t.add.address, { exact: true });
  await address.fill("https://a'; reboot");
  await expect(page.getByText(t.add.addressInvalid)).toBeVisible();
  await page.getByRole('button', { name: t.add.make }).click();
  await expect(page.getByText(t.add.waitingFor)).toBeHidden();
  await address.fill('http://10.0.0.5:18888');
  await expect(page.getByText(t.add.plainHttp)).toBeVisible();
  await page.getByRole('button', { name: t.add.make }).click();
  await expect(commandsOf(page, t)).toContainText('--server http://10.0.0.5:18888');
});
