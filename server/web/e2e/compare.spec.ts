// Several machines beside each other.
import { expect, test } from './fixtures';
import { makeMachine } from './histories';

// As in machine.spec.ts.
test.use({ expected: { '/api/agents/*/metrics': 429 } });

test('machines are found, drawn over each other, set side by side and removed', async ({
  page,
  t,
  api,
  baseURL,
  logIn,
  checkAccessible,
}) => {
  test.slow();
  const { project, retry } = test.info();
  const make = (name: string) =>
    makeMachine(baseURL ?? '', api, {
      name: `${name}-${project.name}-${retry}`,
      fromMs: 600_000,
      everyMs: 20_000,
    });
  const machines = [await make('alpha'), await make('beta'), await make('gamma')];
  const [alpha, beta, gamma] = machines as [(typeof machines)[0], (typeof machines)[0], (typeof machines)[0]];
  await logIn();
  await page.goto(`/agents/${alpha.id}`);
  await page.getByRole('link', { name: t.machine.compareWith }).click();
  await expect(page).toHaveURL(`/compare?id=${alpha.id}`);

  const add = page.getByRole('combobox', { name: t.machine.compare.add });
  await add.fill(beta.name);
  await checkAccessible();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL((url) => url.searchParams.getAll('id').join() === `${alpha.id},${beta.id}`);
  await add.fill('no such machine');
  await expect(page.getByRole('option', { name: t.machine.compare.noMatch })).toBeVisible();
  await add.fill(gamma.name);
  await page.getByRole('option', { name: gamma.name }).click();

  const cpu = page.locator('[data-chart="chart-cpu"]');
  for (const { name } of machines)
    await expect(cpu.getByRole('button', { name })).toHaveAttribute('aria-pressed', 'true');
  await page.getByLabel(t.machine.compare.mode).selectOption('grid');
  await page.getByLabel(t.machine.compare.metric).selectOption('load');
  await expect(page.locator('[data-chart^="chart-load-"]')).toHaveCount(3);
  await page.reload();
  await expect(page.locator('[data-chart^="chart-load-"]')).toHaveCount(3);
  await page.getByRole('button', { name: t.machine.compare.remove(beta.name) }).click();
  await expect(page.locator('[data-chart^="chart-load-"]')).toHaveCount(2);
});

test('nothing to compare, and what is not there', async ({ page, t, logIn }) => {
  await logIn();
  await page.goto('/compare');
  await expect(page.getByRole('heading', { name: t.machine.compare.empty.title })).toBeVisible();
  await page.goto('/compare?id=nonsense');
  await expect(page.getByText(t.machine.compare.unknown('nonsense'))).toBeVisible();
});
