// Finding machines and moving about without a pointer.
import { expect, makeUser } from './fixtures';
import { nameOf, test } from './machines';

test.beforeEach(async ({ logIn }) => logIn());

const AGENT = /\/agents\/[0-9a-f-]{36}$/;

test('the palette finds a machine by a few letters and goes there', async ({ page, t, checkAccessible }) => {
  await page.goto('/');
  await expect(page.getByRole('searchbox')).toBeVisible();
  await page.keyboard.press('Control+k');
  const field = page.getByRole('combobox', { name: t.palette.title });
  await expect(field).toBeFocused();
  await checkAccessible();
  await field.fill('db-01');
  const options = page.getByRole('dialog').getByRole('option');
  await expect(options.first()).toContainText('db-010');
  await page.keyboard.press('ArrowDown');
  await expect(options.nth(1)).toHaveAttribute('aria-selected', 'true');
  await expect(field).toHaveAttribute('aria-activedescendant', /.+/);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(AGENT);
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('the palette finds by address, and does what can be done', async ({ page, t, api, logIn }) => {
  await logIn(await makeUser(api, 'palette'));
  await page.goto('/');
  await expect(page.getByRole('searchbox')).toBeVisible();
  await page.getByRole('button', { name: t.palette.open }).click();
  const field = page.getByRole('combobox', { name: t.palette.title });
  await field.fill('10.0.0.7 ');
  await expect(page.getByRole('dialog').getByRole('option').first()).toContainText('10.0.0.7');
  await field.fill(t.palette.themes.dark);
  await page.keyboard.press('Enter');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.keyboard.press('Control+k');
  await field.fill('nothing is called that');
  await expect(page.getByText(t.palette.nothing)).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(field).toHaveCount(0);
});

test('keys search, move in the list and open a machine', async ({ page, t }) => {
  test.skip(test.info().project.name === 'phone', 'there is no keyboard');
  await page.goto('/?q=web-');
  await expect(page.getByRole('link', { name: 'web-001' })).toBeVisible();
  await page.keyboard.press('j');
  await expect(page.getByRole('link', { name: 'web-001' })).toBeFocused();
  await page.keyboard.press('j');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('k');
  await expect(page.getByRole('link', { name: 'web-002' })).toBeFocused();
  await page.keyboard.press('End');
  await expect(page.getByRole('link', { name: 'web-040' })).toBeFocused();
  await expect(page.getByRole('link', { name: 'web-040' })).toBeInViewport();
  await page.keyboard.press('/');
  await expect(page.getByRole('searchbox')).toBeFocused();
  await page.keyboard.type('gf');
  await expect(page, 'keys are letters where somebody types').toHaveURL('/?q=gf');
  await page.goto('/?q=web-003');
  await expect(page.getByRole('link', { name: 'web-003' })).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(AGENT);
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await expect(page).toHaveURL('/');
  await expect(page.getByRole('grid', { name: t.fleet.machines })).toBeVisible();
});

test('machines are gone through as the fleet lists them', async ({ page, t }) => {
  test.skip(test.info().project.name === 'phone', 'there is no keyboard');
  await page.goto('/?q=web-00&sort=-name');
  const links = page.getByRole('row').getByRole('link', { name: /^web-00/ });
  await expect(links).toHaveCount(9);
  const [first = '', second = '', third = ''] = await links.allTextContents();
  expect(first > second && second > third).toBe(true);
  await links.nth(1).click();
  await expect(page.getByRole('heading', { level: 1, name: second })).toBeVisible();
  await page.keyboard.press(']');
  await expect(page.getByRole('heading', { level: 1, name: third })).toBeVisible();
  await page.keyboard.press('[');
  await page.keyboard.press('[');
  await expect(page.getByRole('heading', { level: 1, name: first })).toBeVisible();
  await expect(page.getByRole('link', { name: t.machine.next(second) })).toBeVisible();
});

test('single keys are listed, and can be switched off', async ({ page, t, api, logIn, checkAccessible }) => {
  test.skip(test.info().project.name === 'phone', 'there is no keyboard');
  await logIn(await makeUser(api, 'keys'));
  await page.goto('/');
  await expect(page.getByRole('grid')).toBeVisible();
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: t.palette.keys.title });
  await expect(help).toContainText(t.palette.keys.next);
  await checkAccessible();
  await help.getByRole('checkbox', { name: t.palette.keys.enabled }).uncheck();
  await page.keyboard.press('Escape');
  await expect(help).toHaveCount(0);
  await page.keyboard.press('?');
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('dialog')).toHaveAccessibleName(t.palette.title);
});

test('a machine is shown at the side by keys, and goes along with them', async ({ page, t, checkAccessible }) => {
  test.skip(test.info().project.name === 'phone', 'there is no keyboard');
  await page.goto('/?q=web-00');
  await expect(page.getByRole('link', { name: 'web-001' })).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('Space');
  const panel = page.getByRole('complementary', { name: 'web-001' });
  await expect(panel.getByRole('link', { name: t.fleet.panel.open })).toHaveAttribute('href', /^\/agents\//);
  await expect(panel).toContainText(/\d %/);
  await checkAccessible();
  await page.keyboard.press('j');
  await expect(page.getByRole('complementary', { name: 'web-002' })).toBeVisible();
  await expect(page).toHaveURL(/[?&]agent=[0-9a-f-]{36}/);
  await page.reload();
  await expect(page.getByRole('complementary', { name: 'web-002' }), 'it is in the link').toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('complementary')).toHaveCount(0);
  await expect(page).toHaveURL('/?q=web-00');
  await page.getByRole('button', { name: t.fleet.actions('web-003') }).click();
  await page.getByRole('menuitem', { name: t.palette.keys.peek }).click();
  await expect(page.getByRole('complementary', { name: 'web-003' })).toBeVisible();
});

test('machines are selected by keys, compared, and tagged together', async ({
  page,
  t,
  api,
  enroll,
  checkAccessible,
}) => {
  test.skip(test.info().project.name === 'phone', 'there is no keyboard');
  const [one, other] = [await enroll(nameOf('pick-a')), await enroll(nameOf('pick-b'))];
  await page.goto(`/?q=${encodeURIComponent(`pick- ${nameOf('')}`)}`);
  await expect(page.getByRole('link', { name: one.name })).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  const bar = page.getByRole('region', { name: t.fleet.selection.label });
  await expect(bar).toContainText(t.fleet.selection.count('2'));
  await expect(page.getByRole('row', { selected: true })).toHaveCount(2);
  await expect(bar.getByRole('link', { name: t.fleet.selection.compare })).toHaveAttribute(
    'href',
    `/compare?id=${one.id}&id=${other.id}`,
  );
  await bar.getByRole('button', { name: t.fleet.selection.tags }).click();
  await page.getByRole('dialog').getByLabel(t.fleet.selection.add).fill('picked, together');
  await checkAccessible();
  await page.getByRole('dialog').getByRole('button', { name: t.common.save }).click();
  await expect(page.getByRole('row', { selected: true }).first()).toContainText('together');
  const { tags } = await api.send<{ tags: string[] }>('GET', `/api/agents/${other.id}`);
  expect(tags).toEqual(['picked', 'together']);
  await page.getByRole('link', { name: other.name }).focus();
  await page.keyboard.press('x');
  await expect(bar).toContainText(t.fleet.selection.count('1'));
  await page.keyboard.press('Escape');
  await expect(bar).toHaveCount(0);
});
