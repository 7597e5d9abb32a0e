// The settings: users, retention, audit log, status; and what they look like to somebody who is no administrator.
import type { User } from '../src/lib/queries/account';
import type { RetentionPreview } from '../src/lib/queries/system';
import { accountButton, ADMIN, expect, fillIn, makeUser, PASSWORD, test } from './fixtures';
import { totp } from './totp';

test('a user is made, logs in with the password shown once, and is asked to log in when disabled', async ({
  page,
  t,
  logIn,
  browser,
  baseURL,
  locale,
  checkAccessible,
}) => {
  const username = `made-${test.info().project.name}-${test.info().retry}`;
  await logIn();
  await page.goto('/settings/users');
  await page.getByRole('button', { name: t.settings.users.create }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(t.settings.users.username).fill(username);
  await checkAccessible();
  await dialog.getByRole('button', { name: t.common.create }).click();
  const password = (await dialog.locator('code').textContent()) ?? '';
  await checkAccessible();
  await dialog.getByRole('button', { name: t.common.done }).click();
  await expect(page.locator('body')).not.toContainText(password);

  const theirs = await browser.newContext({ ...(baseURL && { baseURL }), ...(locale && { locale }) });
  const tab = await theirs.newPage();
  await tab.goto('/login?next=%2Fsettings%2Fstatus');
  await fillIn(tab, t, { username, password });
  await expect(tab.getByRole('heading', { name: t.settings.pages.status })).toBeVisible();

  await page.getByRole('searchbox').fill(username);
  await page.getByRole('link', { name: username }).click();
  await page.getByRole('button', { name: t.settings.users.disable }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.settings.users.disable }).click();
  await expect(page.getByText(t.settings.users.disabledText)).toBeVisible();

  await tab.getByRole('link', { name: t.settings.pages.retention }).click();
  await expect(tab.getByRole('dialog', { name: t.login.again })).toBeVisible();
  await theirs.close();

  await page.getByRole('button', { name: t.settings.users.delete }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.settings.users.delete }).click();
  await expect(page).toHaveURL('/settings/users');
  await page.getByRole('searchbox').fill(username);
  await expect(page.getByText(t.settings.users.empty)).toBeVisible();
});

test('a password is reset and shown once; a second factor is removed', async ({ page, t, api, logIn }) => {
  const user = await makeUser(api, 'reset');
  const own = await api.as(user);
  const { secret } = await own.send<{ secret: string }>('POST', '/api/account/totp', { password: PASSWORD });
  await own.send('POST', '/api/account/totp/confirm', { code: totp(secret) });
  await logIn();
  await page.goto(`/settings/users/${user.id}`);
  await page.getByLabel(t.settings.users.nickname).fill('Somebody <b>bold</b>');
  await page.getByRole('button', { name: t.common.save }).click();
  await expect(page.getByText(t.common.saved)).toBeVisible();
  await page.getByRole('button', { name: t.settings.users.reset }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.settings.users.reset }).click();
  await expect(page.getByText(t.settings.users.made(user.username))).toBeVisible();
  const password = (await page.locator('.secret code').textContent()) ?? '';
  await page.getByRole('button', { name: t.settings.users.removeFactor }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.settings.users.removeFactor }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByRole('button', { name: t.settings.users.removeFactor })).toBeHidden();
  await api.as({ username: user.username, password });
  await page.reload();
  await expect(page.getByLabel(t.settings.users.nickname)).toHaveValue('Somebody <b>bold</b>');
  await expect(page.locator('body')).not.toContainText(password);
});

test.describe('the last administrator', () => {
  test.use({ expected: { '/api/users/*/status': 409, '/api/users/*': 409 } });

  test('stays one, and the page says why', async ({ page, t, api, logIn, checkAccessible }) => {
    const { items } = await api.send<{ items: User[] }>('GET', '/api/users?pageSize=100');
    const admins = items.filter(({ role, status }) => role === 'admin' && status === 1);
    expect(
      admins.map(({ username }) => username),
      'no scenario makes another one',
    ).toEqual([ADMIN.username]);
    await logIn();
    await page.goto(`/settings/users/${admins[0]?.id}`);
    await page.getByRole('button', { name: t.settings.users.disable }).click();
    await page.getByRole('dialog').getByRole('button', { name: t.settings.users.disable }).click();
    await expect(page.getByRole('dialog').getByText(t.settings.users.lastAdmin)).toBeVisible();
    await checkAccessible();
    await page.getByRole('button', { name: t.common.cancel }).click();
    await page.getByRole('radio', { name: t.shell.roles.user }).click();
    await expect(page.getByText(t.settings.users.lastAdmin)).toBeVisible();
    await expect(page.getByRole('radio', { name: t.shell.roles.admin })).toBeChecked();
  });
});

test.describe('a retention that would lose data', () => {
  test.use({ expected: { '/api/settings/retention': 422 } });

  test('is refused with its reason, and nothing changes', async ({ page, t, api, logIn, checkAccessible }) => {
    const kept = async () => (await api.send<{ rawMs: number }>('GET', '/api/settings/retention')).rawMs;
    const before = await kept();
    await logIn();
    await page.goto('/settings/retention');
    const days = page.getByLabel(t.settings.retention.keep(t.settings.retention.tiers.raw));
    await days.fill('nonsense');
    await expect(page.getByRole('button', { name: t.common.save })).toBeDisabled();
    await days.fill('1');
    await expect(page.getByRole('alert'), 'before it is saved').toContainText(`2.25 ${t.settings.retention.days}`);
    await page.getByRole('button', { name: t.common.save }).click();
    const dialog = page.getByRole('dialog', { name: t.settings.retention.dropTitle });
    await expect(dialog).toContainText(t.settings.retention.tiers.raw);
    await checkAccessible();
    await dialog.getByRole('button', { name: t.settings.retention.drop }).click();
    const reason = page.getByRole('alert');
    await expect(reason).toContainText(t.settings.retention.refused);
    await expect(reason).toContainText(`2.25 ${t.settings.retention.days}`);
    expect(await kept()).toBe(before);
  });
});

test('a longer retention is saved, with a date and a forecast beside it', async ({ page, t, logIn }) => {
  await logIn();
  await page.goto('/settings/retention');
  const hours = page.getByLabel(t.settings.retention.keep(t.settings.retention.tiers['1h']));
  const row = page.getByRole('listitem').filter({ has: hours });
  const oldest = row.locator('dd').first();
  const before = await oldest.textContent();
  await hours.fill(String(Number(await hours.inputValue()) + 100));
  await expect(oldest).not.toHaveText(before ?? '');
  const saved = page.waitForResponse((answer) => answer.request().method() === 'PUT');
  await page.getByRole('button', { name: t.common.save }).click();
  expect((await saved).status()).toBe(200);
  await expect(page.getByText(t.common.saved)).toBeVisible();
});

test('what a shorter retention deletes is said before it is saved', async ({ page, t, logIn, checkAccessible }) => {
  // The server of the scenarios has nothing old enough.
  await page.route('/api/settings/retention/preview', async (route) => {
    const answer = await route.fetch();
    const preview = (await answer.json()) as RetentionPreview;
    const dropped = { chunksDropped: 12, rowsDropped: 34_567, bytesDropped: 5 * 1024 ** 3, droppedBefore: Date.now() };
    Object.assign(preview.tiers.find(({ tier }) => tier === '1m') ?? {}, dropped);
    await route.fulfill({ response: answer, json: preview });
  });
  await logIn();
  await page.goto('/settings/retention');
  const minutes = page.getByLabel(t.settings.retention.keep(t.settings.retention.tiers['1m']));
  const row = page.getByRole('listitem').filter({ has: minutes });
  await expect(row).not.toContainText('5 GiB');
  await minutes.fill('40');
  await expect(row).toContainText('34,567');
  await expect(row).toContainText('5 GiB');
  await checkAccessible();
  await page.getByRole('button', { name: t.common.save }).click();
  await expect(page.getByRole('dialog')).toContainText('34,567');
  await page.getByRole('button', { name: t.common.cancel }).click();
});

test('the audit log speaks in sentences, and its filters and pages are in the address', async ({
  page,
  t,
  api,
  logIn,
  checkAccessible,
}) => {
  const user = await makeUser(api, 'busy');
  const own = await api.as(user);
  // With the login, one entry more than a page has.
  for (let i = 0; i < 50; i += 1) await own.send('POST', '/api/tokens', { name: `token ${i}`, scopes: ['read'] });
  await logIn();
  await page.goto('/settings/audit');
  await page.getByLabel(t.audit.actor, { exact: true }).fill(user.username);
  await page.getByRole('button', { name: t.audit.apply }).click();
  await expect(page).toHaveURL(`/settings/audit?actor=${user.username}`);
  await expect(page.getByText(t.common.rangeOf('1', '50', '51'))).toBeVisible();
  await expect(page.getByText('token 49')).toBeVisible();
  await checkAccessible();
  await page.getByRole('link', { name: t.common.nextPage }).click();
  await expect(page).toHaveURL(`/settings/audit?actor=${user.username}&page=2`);
  await expect(page.getByText(t.common.rangeOf('51', '51', '51'))).toBeVisible();
  await page.goBack();
  await expect(page.getByText(t.common.rangeOf('1', '50', '51'))).toBeVisible();
  const midnight = `${new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10)}T00:00`;
  await page.getByLabel(t.range.from, { exact: true }).fill(midnight);
  await page.getByRole('button', { name: t.audit.apply }).click();
  await expect(page).toHaveURL(/[?&]from=\d{13}/);
  await expect(page.getByText(t.audit.empty)).toBeVisible();
  await expect(page.getByLabel(t.range.from, { exact: true })).toHaveValue(midnight);
  await page.getByLabel(t.range.from, { exact: true }).fill('');
  await page.getByLabel(t.range.to, { exact: true }).fill(midnight);
  await page.getByRole('button', { name: t.audit.apply }).click();
  await expect(page).toHaveURL(new RegExp(`^[^?]*\\?actor=${user.username}&to=\\d{13}$`));
  await expect(page.getByText(t.common.rangeOf('1', '50', '51'))).toBeVisible();
  await page.getByLabel(t.audit.address, { exact: true }).fill('192.0.2.1');
  await page.getByRole('button', { name: t.audit.apply }).click();
  await expect(page.getByText(t.audit.empty)).toBeVisible();
  await page.goto(`/settings/audit?actor=${user.username}`);
  await page.getByLabel(t.audit.action, { exact: true }).selectOption('user.login');
  await expect(page.getByText(t.common.rangeOf('1', '1', '1'))).toBeVisible();
  await page.getByRole('button', { name: t.audit.details }).click();
  await expect(page.getByRole('definition').filter({ hasText: 'user.login' })).toBeVisible();
  await page.getByRole('link', { name: user.username }).first().click();
  await expect(page).toHaveURL(`/settings/users/${user.id}`);
});

test('the status names versions, edition and what is stored', async ({ page, t, logIn, checkAccessible }) => {
  await logIn();
  await page.goto('/settings');
  await expect(page.getByText(/^(Apache|Community)$/)).toBeVisible();
  await expect(page.getByText(t.settings.status.clockRight)).toBeVisible();
  const ingest = page.getByRole('region', { name: t.settings.status.ingest });
  const value = (name: string) => ingest.locator('div').filter({ hasText: name }).locator('dd').first();
  await expect(value(t.settings.status.rowsPerSecond), 'the made-up fleet reports').toHaveText(/[1-9]/);
  await expect(value(t.settings.status.flush)).toHaveText(/\d ms · .*\d ms/);
  await expect(value(t.settings.status.rowsStored)).toHaveText(/[1-9]/);
  await page.getByText(`${t.settings.status.tables} (`).click();
  await expect(page.getByText('cpu_metrics', { exact: true })).toBeVisible();
  await checkAccessible();
});

test('jobs that do not work are named, and so is a browser whose clock is wrong', async ({ page, t, logIn }) => {
  await page.route('/api/system/storage', async (route) => {
    const answer = await route.fetch();
    const job = {
      jobId: 1007,
      procedure: 'policy_retention',
      relation: 'cpu_metrics',
      problem: 'fails',
      lastStatus: 'Failed',
      failures: 3,
      lastError: '<b>out of disk</b>',
    };
    await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), unhealthyJobs: [job] } });
  });
  await logIn();
  await page.clock.install({ time: new Date().getTime() + 600_000 });
  await page.goto('/settings/status');
  await expect(page.getByText('<b>out of disk</b>')).toBeVisible();
  await expect(page.getByText(t.settings.status.problems.fails, { exact: true })).toBeVisible();
  await expect(page.getByText(t.settings.status.clockText)).toBeVisible();
});

test('a user sees nothing of the administrators, and a deep link says who may', async ({ page, t, api, logIn }) => {
  await logIn(await makeUser(api, 'reader'));
  await page.goto('/settings/status');
  await expect(accountButton(page, t)).toBeVisible();
  await expect(page.getByRole('link', { name: t.shell.add, exact: true })).toHaveCount(0);
  for (const absent of ['enrollments', 'users', 'audit'] as const) {
    await expect(page.getByRole('link', { name: t.settings.pages[absent] })).toHaveCount(0);
  }
  await page.getByRole('link', { name: t.settings.pages.retention }).click();
  await expect(page.getByText(t.settings.retention.tierTexts.raw)).toBeVisible();
  await expect(page.getByRole('textbox')).toHaveCount(0);
  await expect(page.getByRole('button', { name: t.common.save })).toHaveCount(0);
  for (const path of ['/add', '/settings/users', '/settings/enrollments', '/settings/audit']) {
    await page.goto(path);
    await expect(page.getByText(t.common.notAllowed.title)).toBeVisible();
  }
});

test('single keys lead to pages, but not while somebody types or has switched them off', async ({
  page,
  t,
  api,
  logIn,
}) => {
  await logIn(await makeUser(api, 'keys'));
  await page.goto('/account');
  const nickname = page.getByLabel(t.settings.users.nickname);
  await nickname.pressSequentially('gs');
  await expect(page).toHaveURL('/account');
  await nickname.blur();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await expect(page).toHaveURL('/settings/status');
  await page.goto('/account');
  await page.getByLabel(t.account.shortcuts).uncheck();
  await page.getByLabel(t.account.shortcuts).blur();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.reload();
  await expect(page.getByLabel(t.account.shortcuts)).not.toBeChecked();
  await expect(page).toHaveURL('/account');
});
