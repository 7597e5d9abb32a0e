// Texts that are two fifths longer than English, as those of other languages are: no page scrolls sideways because of them,
// and no button, field or tab cuts its own.
import type { Page } from '@playwright/test';
import { expect } from './fixtures';
import { nameOf, test, VALUES } from './machines';

const PAGES = [
  '/',
  '/?view=tiles',
  '/?trend=cpuUsagePercent',
  '/compare',
  '/add',
  '/alerts',
  '/alerts/rules',
  '/alerts/silences',
  '/settings/status',
  '/settings/enrollments',
  '/settings/users',
  '/settings/retention',
  '/settings/alerting',
  '/settings/channels',
  '/settings/audit',
  '/account',
  '/account/security',
  '/account/tokens',
];

/** Makes every text of the console longer, but not what people have written; returns what does not fit then. */
async function stretch(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const text = node.nodeValue?.trim() ?? '';
      const isOwn = node.parentElement?.closest('bdi, code, pre, script, style, svg, time, textarea') === null;
      if (!isOwn || !/\p{L}{2}/u.test(text)) continue;
      node.nodeValue = `${node.nodeValue ?? ''}${'x'.repeat(Math.ceil(text.length * 0.4))}`;
    }
    const found: string[] = [];
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth - clientWidth} px too wide`);
    for (const element of document.querySelectorAll<HTMLElement>(
      ':is(button, a, label, legend, th, dt, h1, h2):not(.visually-hidden)',
    )) {
      const style = getComputedStyle(element);
      const isCut = style.overflowX !== 'visible' && style.textOverflow !== 'ellipsis';
      if (isCut && element.scrollWidth > element.clientWidth + 1) found.push(element.outerHTML.slice(0, 200));
      const box = element.getBoundingClientRect();
      const isOutside = box.width > 0 && box.right > clientWidth + 1;
      const scrolls = (around: Element | null): boolean =>
        around !== null &&
        (/auto|scroll|hidden|clip/.test(getComputedStyle(around).overflowX) || scrolls(around.parentElement));
      if (isOutside && !scrolls(element.parentElement)) found.push(`outside: ${element.outerHTML.slice(0, 200)}`);
    }
    for (const control of document.querySelectorAll<HTMLElement>('input.control, select.control, textarea.control')) {
      const around = control.parentElement?.getBoundingClientRect();
      const box = control.getBoundingClientRect();
      if (around && box.right > around.right + 1)
        found.push(`wider than its place: ${control.outerHTML.slice(0, 200)}`);
    }
    return found;
  });
}

test('longer texts fit on every page', async ({ page, logIn }) => {
  await page.goto('/login');
  await expect(page.getByRole('heading')).toBeVisible();
  expect(await stretch(page), '/login').toEqual([]);
  await logIn();
  for (const path of PAGES) {
    await page.goto(path);
    await expect(page.getByRole('heading', { level: 1 })).toBeAttached();
    await expect(page.locator('[aria-busy="true"]')).toHaveCount(0);
    expect.soft(await stretch(page), path).toEqual([]);
  }
});

test('longer texts fit beside charts', async ({ page, logIn, enroll }) => {
  const agent = await enroll(nameOf('lengths'));
  agent.report(VALUES);
  await logIn();
  await page.goto(`/agents/${agent.id}`);
  await expect(page.locator('[data-chart] canvas').first()).toBeVisible();
  expect(await stretch(page)).toEqual([]);
});
