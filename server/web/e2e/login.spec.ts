// Logging in and out: passwords, second factors, sessions that end, servers that do not answer.
import { accountButton, ADMIN, expect, fillIn, makeUser, PASSWORD, test } from './fixtures';
import { totp } from './totp';

test('whoever has not logged in does so, and comes back', async ({ page, t, checkAccessible }) => {
  await page.goto('/agents/7?range=6h');
  await expect(page).toHaveURL('/login?next=%2Fagents%2F7%3Frange%3D6h');
  await expect(page).toHaveTitle(`${t.login.title} · Pika`);
  await expect(page.getByLabel(t.login.username)).toBeFocused();
  await checkAccessible();
  await fillIn(page, t, ADMIN);
  await expect(page).toHaveURL('/agents/7?range=6h');
  await expect(accountButton(page, t)).toBeVisible();
  await page.reload();
  await expect(accountButton(page, t), 'the session is kept').toBeVisible();
});

test('the document is in the language of its texts', async ({ page, t, locale }) => {
  await page.goto('/login');
  await expect(page.getByRole('heading')).toHaveText(t.login.title);
  await expect(page.locator('html')).toHaveAttribute('lang', locale?.startsWith('zh') ? 'zh-CN' : 'en');
});

for (const next of ['https://evil.example/a', '//evil.example/a', '/\\evil.example', 'javascript:alert(1)']) {
  test(`nobody is led away by next=${next}`, async ({ page, t }) => {
    await page.goto(`/login?next=${encodeURIComponent(next)}`);
    await fillIn(page, t, ADMIN);
    await expect(accountButton(page, t)).toBeVisible();
    await expect(page).toHaveURL('/');
  });
}

test('whoever is logged in already goes on', async ({ page, logIn, t }) => {
  await logIn();
  await page.goto('/login?next=%2Fagents');
  await expect(page).toHaveURL('/agents');
  await expect(accountButton(page, t)).toBeVisible();
});

test.describe('a wrong password', () => {
  test.use({ expected: { '/api/login': 401 } });

  test('is said so', async ({ page, t, checkAccessible }) => {
    await page.goto('/login');
    await fillIn(page, t, { username: `nobody-${test.info().project.name}`, password: 'wrong' });
    await expect(page.getByRole('alert')).toHaveText(t.login.wrongCredentials);
    await expect(page.getByLabel(t.login.password)).toHaveValue('');
    await checkAccessible();
  });
});

test.describe('too many attempts', () => {
  test.use({ expected: { '/api/login': 429 } });

  test('are counted down, and the button comes back', async ({ page, t }) => {
    let attempts = 0;
    await page.route('/api/login', (route) => {
      attempts += 1;
      if (attempts > 1) return route.fallback();
      const body = { code: 'too_many_requests', message: 'wait', requestId: 'r' };
      return route.fulfill({ status: 429, headers: { 'Retry-After': '2' }, json: body });
    });
    await page.goto('/login');
    await fillIn(page, t, ADMIN);
    const button = page.getByRole('button', { name: t.common.tryAgainIn(2) });
    await expect(button).toBeDisabled();
    await expect(page.getByRole('alert')).toHaveText(t.common.errors.tooMany);
    await page.getByRole('button', { name: t.login.submit, exact: true }).click();
    await expect(accountButton(page, t)).toBeVisible();
  });
});

test.describe('a second factor', () => {
  test.use({ expected: { '/api/login': 401 } });

  test('is a code of the device or a recovery code', async ({ page, t, api, checkAccessible }) => {
    const user = await makeUser(api, 'factor');
    const own = await api.as(user);
    const { secret } = await own.send<{ secret: string }>('POST', '/api/account/totp', { password: PASSWORD });
    const confirmed = await own.send<{ recoveryCodes: string[] }>('POST', '/api/account/totp/confirm', {
      code: totp(secret, -1),
    });

    await page.goto('/login');
    await fillIn(page, t, user);
    const code = page.getByRole('textbox', { name: t.login.code, exact: true });
    await expect(code).toBeFocused();
    await expect(code).toHaveAttribute('autocomplete', 'one-time-code');
    await checkAccessible();
    await code.fill('000 000');
    await page.getByRole('button', { name: t.login.verify, exact: true }).click();
    await expect(page.getByRole('alert')).toHaveText(t.login.wrongCode);
    const digits = totp(secret);
    await code.fill(`${digits.slice(0, 3)} ${digits.slice(3)}`);
    await page.getByRole('button', { name: t.login.verify, exact: true }).click();
    await expect(accountButton(page, t)).toBeVisible();

    await page.goto('about:blank');
    await page.context().clearCookies();
    await page.goto('/login');
    await fillIn(page, t, user);
    await page.getByRole('button', { name: t.login.useRecoveryCode }).click();
    await page.getByLabel(t.login.recoveryCode).fill(confirmed.recoveryCodes[0] ?? '');
    await page.getByRole('button', { name: t.login.verify, exact: true }).click();
    await expect(accountButton(page, t)).toBeVisible();
  });
});

test('logging out ends the session', async ({ page, t, logIn }) => {
  await logIn();
  await page.goto('/');
  await accountButton(page, t).click();
  await page.getByRole('menuitem', { name: t.shell.logout }).click();
  await expect(page).toHaveURL('/login');
  await page.goto('/');
  await expect(page).toHaveURL('/login');
});

test.describe('logging out of a session that has ended', () => {
  test.use({ expected: { '/api/logout': 401 } });

  test('is as good', async ({ page, t, logIn }) => {
    await logIn();
    // The last that the page asks for at once.
    const trends = page.waitForResponse(/sparklines/);
    await page.goto('/');
    await trends;
    await accountButton(page, t).click();
    await page.context().clearCookies();
    await page.getByRole('menuitem', { name: t.shell.logout }).click();
    await expect(page).toHaveURL('/login');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });
});

test('the menu is used by keys, and the theme is kept', async ({ page, t, api, logIn, checkAccessible }) => {
  await logIn(await makeUser(api, 'theme'));
  await page.goto('/');
  await accountButton(page, t).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitemradio', { name: t.shell.themes.system })).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitemradio', { name: t.shell.themes.dark })).toBeChecked();
  await checkAccessible();
  await page.keyboard.press('Escape');
  await expect(accountButton(page, t)).toBeFocused();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('body')).toHaveCSS('color', 'rgb(232, 235, 239)');
});

test.describe('a database that is away', () => {
  test.use({ expected: { '/api/account/info': 503 } });

  test('is said so, and waited for', async ({ page, t, logIn }) => {
    await logIn();
    let isAway = true;
    await page.route('/api/account/info', (route) => {
      if (!isAway) return route.fallback();
      const body = { code: 'unavailable', message: 'away', requestId: 'r' };
      return route.fulfill({ status: 503, headers: { 'Retry-After': '1' }, json: body });
    });
    await page.goto('/');
    await expect(page.getByText(t.shell.unavailable)).toBeVisible();
    isAway = false;
    await expect(accountButton(page, t)).toBeVisible();
    await expect(page.getByText(t.shell.unavailable)).toBeHidden();
  });
});

test.describe('a session that ends', () => {
  test.use({
    expected: {
      '/api/agents': 401,
      '/api/agents/metrics/latest': 401,
      '/api/agents/metrics/sparklines': [401, 429],
      '/api/events': 401,
      '/api/alerts': 401,
      '/api/alerts/*': 401,
    },
  });

  test('is asked for over the page, which stays', async ({ page, t, api, logIn, checkAccessible }) => {
    const user = await makeUser(api, 'ends');
    await logIn(user);
    await page.clock.install();
    await page.goto('/alerts?later=1');
    await expect(accountButton(page, t)).toBeVisible();
    await page.context().clearCookies();
    // The page is looked at again after a while.
    await page.clock.fastForward('02:00');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    const dialog = page.getByRole('dialog', { name: t.login.again });
    await expect(dialog.getByLabel(t.login.username)).toHaveValue(user.username);
    await expect(dialog.getByLabel(t.login.password)).toBeFocused();
    await checkAccessible();
    await page.keyboard.press('Escape');
    await expect(dialog, 'there is nothing to do without a session').toBeVisible();
    await dialog.getByLabel(t.login.password).fill(PASSWORD);
    await dialog.getByRole('button', { name: t.login.submit }).click();
    await expect(dialog).toBeHidden();
    await expect(page).toHaveURL('/alerts?later=1');
  });
});
