// Opens a page that has nothing to do with Pika: when this fails, Chromium and Playwright do not go together.
import { expect, test } from '@playwright/test';

test('the browser starts', async ({ page }) => {
  await page.goto('about:blank');
  expect(await page.evaluate(() => 1 + 1)).toBe(2);
});
