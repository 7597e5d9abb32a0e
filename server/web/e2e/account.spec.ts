// One's own account: display, password, sessions, second factor, API tokens. Secrets are shown once and kept nowhere.
import { readFile } from 'node:fs/promises';
import { accountButton, expect, fillIn, makeUser, PASSWORD, test } from './fixtures';
import { totp } from './totp';

interface Kept {
  preferences: { console?: object };
}

test('language, theme, zone and density are in effect at once, stay, and follow the account', async ({
  page,
  t,
  api,
  logIn,
  browser,
}) => {
  const user = await makeUser(api, 'display');
  await logIn(user);
  await page.goto('/account');
  await page.getByRole('radio', { name: t.shell.themes.dark }).check();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.getByRole('radio', { name: t.account.densities.comfortable }).check();
  await page.getByLabel(t.account.zone).selectOption('Asia/Tokyo');
  await page.getByRole('radio', { name: '简体中文' }).check();
  await expect(page.getByRole('heading', { name: '资料' })).toBeVisible();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expect(page.locator('html')).toHaveAttribute('data-density', 'comfortable');
  await expect(page.getByLabel('时区')).toHaveValue('Asia/Tokyo');

  await page.getByRole('radio', { name: '7d' }).check();
  const account = await api.as(user);
  await expect
    .poll(async () => (await account.send<Kept>('GET', '/api/account/preferences')).preferences.console)
    .toMatchObject({ theme: 'dark', language: 'zh-CN', zone: 'Asia/Tokyo', density: 'comfortable', range: '7d' });
  const elsewhere = await browser.newContext({ locale: 'en' });
  await elsewhere.addCookies((await page.context().storageState()).cookies);
  const other = await elsewhere.newPage();
  await other.goto('/account');
  await expect(other.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(other.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expect(other.getByLabel('时区')).toHaveValue('Asia/Tokyo');
  await other.goto('/compare');
  await expect(other).toHaveURL('/compare?range=7d');
  await elsewhere.close();
});

test.describe('a password', () => {
  test.use({ expected: { '/api/users/*/password': 403 } });

  test('is changed with the old one, which ends the other sessions', async ({
    page,
    t,
    api,
    logIn,
    checkAccessible,
  }) => {
    const user = await makeUser(api, 'password');
    await api.as(user);
    await logIn(user);
    await page.goto('/account/security');
    const end = page.getByRole('button', { name: t.account.endSession, exact: true });
    await expect(end).toHaveCount(1);
    await checkAccessible();
    const change = async (old: string, repeated: string) => {
      await page.getByLabel(t.account.oldPassword, { exact: true }).fill(old);
      await page.getByLabel(t.account.newPassword, { exact: true }).fill('another good password');
      await page.getByLabel(t.account.repeated, { exact: true }).fill(repeated);
      await page.getByRole('button', { name: t.account.changePassword }).click();
    };
    await change(PASSWORD, 'something else');
    await expect(page.getByText(t.account.notTheSame)).toBeVisible();
    await change('wrong password', 'another good password');
    await expect(page.getByText(t.account.wrongPassword)).toBeVisible();
    await expect(accountButton(page, t), 'nobody is logged out by that').toBeVisible();
    await change(PASSWORD, 'another good password');
    await expect(page.getByText(t.account.passwordChanged)).toBeVisible();
    await expect(end).toHaveCount(0);
    await api.as({ ...user, password: 'another good password' });
  });
});

test('a session is ended from another one', async ({ page, t, api, logIn }) => {
  const user = await makeUser(api, 'sessions');
  const other = await api.as(user);
  await logIn(user);
  await page.goto('/account/security');
  await page.getByRole('button', { name: t.account.endSession, exact: true }).click();
  await expect(page.getByText(t.account.sessionEnded)).toBeVisible();
  await expect(page.getByRole('button', { name: t.account.endSession, exact: true })).toHaveCount(0);
  await expect(other.send('GET', '/api/account/info')).rejects.toThrow('401');
  await page.reload();
  await expect(page.getByText(t.account.thisSession)).toBeVisible();
});

test.describe('a second factor', () => {
  test.use({ expected: { '/api/login': 401, '/api/account/totp/confirm': 403, '/api/account/totp': 403 } });

  test('is set up, logged in with, and removed', async ({ page, t, api, logIn, checkAccessible }) => {
    const user = await makeUser(api, 'setup');
    await logIn(user);
    await page.goto('/account/security');
    await page.getByRole('button', { name: t.account.setUp, exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(t.account.confirmPassword).fill(PASSWORD);
    await dialog.getByRole('button', { name: t.account.next }).click();
    await expect(dialog.getByRole('img', { name: t.account.qr })).toBeVisible();
    await checkAccessible();
    const secret = ((await dialog.locator('code').textContent()) ?? '').replace(/\s/g, '');
    const code = dialog.getByLabel(t.account.code, { exact: true });
    await code.fill('000000');
    await dialog.getByRole('button', { name: t.account.turnOn }).click();
    await expect(dialog.getByText(t.account.wrongCode)).toBeVisible();
    await code.fill(totp(secret, -1));
    await dialog.getByRole('button', { name: t.account.turnOn }).click();

    await expect(dialog.getByRole('heading', { name: t.account.recoveryTitle })).toBeVisible();
    await expect(page.locator('body'), 'the secret has gone').not.toContainText(secret.slice(0, 4));
    const codes = await dialog.locator('li code').allTextContents();
    expect(codes.length).toBeGreaterThan(4);
    await checkAccessible();
    await page.keyboard.press('Escape');
    await expect(dialog, 'they are not lost by accident').toBeVisible();
    const downloading = page.waitForEvent('download');
    await dialog.getByRole('button', { name: t.account.download }).click();
    const file = await (await downloading).path();
    expect((await readFile(file, 'utf8')).trim().split('\n')).toEqual(codes);
    await page.emulateMedia({ media: 'print' });
    await expect(dialog.getByText(codes[0] ?? '')).toBeVisible();
    await expect(page.getByRole('button', { name: t.account.keptThem })).toBeHidden();
    await page.emulateMedia({ media: 'screen' });
    await dialog.getByRole('button', { name: t.account.keptThem }).click();
    await expect(page.getByRole('button', { name: t.account.remove, exact: true })).toBeVisible();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    for (const once of [secret, ...codes]) expect(kept + page.url()).not.toContain(once);

    const logInAgain = async (fill: () => Promise<void>) => {
      // A page that is still there may ask for the fleet meanwhile.
      await page.goto('about:blank');
      await page.context().clearCookies();
      await page.goto('/login?next=%2Faccount%2Fsecurity');
      await fillIn(page, t, user);
      await fill();
      await page.getByRole('button', { name: t.login.verify, exact: true }).click();
      await expect(page).toHaveURL('/account/security');
    };
    await logInAgain(() => page.getByRole('textbox', { name: t.login.code, exact: true }).fill(totp(secret)));
    await logInAgain(async () => {
      await page.getByRole('button', { name: t.login.useRecoveryCode }).click();
      await page.getByLabel(t.login.recoveryCode).fill(codes[0] ?? '');
    });

    await page.getByRole('button', { name: t.account.remove, exact: true }).click();
    await dialog.getByLabel(t.account.confirmPassword).fill(PASSWORD);
    await dialog.getByLabel(t.account.code, { exact: true }).fill('000000');
    await dialog.getByRole('button', { name: t.account.remove, exact: true }).click();
    await expect(dialog.getByText(t.account.removeRefused)).toBeVisible();
    await dialog.getByLabel(t.account.code, { exact: true }).fill(codes[1] ?? '');
    await dialog.getByRole('button', { name: t.account.remove, exact: true }).click();
    await expect(page.getByRole('button', { name: t.account.setUp, exact: true })).toBeVisible();
  });
});

test('an API token is shown once, copied without the clipboard API, and ended', async ({
  page,
  t,
  api,
  logIn,
  checkAccessible,
}) => {
  await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await logIn(await makeUser(api, 'token'));
  await page.goto('/account/tokens');
  await page.getByRole('button', { name: t.account.newToken }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(t.account.tokenName, { exact: true }).fill('grafana');
  await expect(dialog.getByLabel(t.account.scopeNames['users:write']), 'a role cannot be exceeded').toHaveCount(0);
  await checkAccessible();
  await dialog.getByRole('button', { name: t.common.create }).click();
  const token = (await dialog.locator('code').textContent()) ?? '';
  expect(token).toMatch(/^pika_/);
  await dialog.getByRole('button', { name: t.common.copy }).click();
  await expect(dialog.getByRole('button', { name: t.common.copied })).toBeVisible();
  await dialog.getByRole('button', { name: t.common.done }).click();
  await expect(page.locator('body')).not.toContainText(token);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  expect(kept + page.url()).not.toContain(token);

  await page.getByRole('button', { name: t.account.newToken }).click();
  await dialog.getByLabel(t.account.tokenName, { exact: true }).focus();
  await page.keyboard.press('ControlOrMeta+V');
  await expect(dialog.getByLabel(t.account.tokenName, { exact: true })).toHaveValue(token.slice(0, 64));
  await dialog.getByRole('button', { name: t.common.cancel }).click();

  const row = page.getByRole('row').filter({ hasText: 'grafana' });
  await row.getByRole('button', { name: t.account.endToken }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.account.endToken }).click();
  await expect(page.getByText(t.account.noTokens)).toBeVisible();
});
