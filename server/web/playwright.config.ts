// The scenarios, each in four looks; test.sh tries `desktop-light` and `phone`, which is dark and Chinese besides. Started by e2e/run.js, which brings the server.
import { defineConfig, devices } from '@playwright/test';

const baseURL = process.env['PIKA_E2E_URL'];
if (!baseURL) throw new Error('start the scenarios with: npm run e2e');

const desktop = { ...devices['Desktop Chrome'], viewport: { width: 1440, height: 900 } };

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'e2e/.results',
  reporter: 'list',
  fullyParallel: true,
  workers: 2,
  // A machine that builds at the same time is slow.
  expect: { timeout: 15_000 },
  timeout: 60_000,
  forbidOnly: Boolean(process.env['CI']),
  use: {
    baseURL,
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env['PIKA_CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--disable-dev-shm-usage',
      ],
    },
  },
  projects: [
    // Says whether it is the browser and Playwright that do not go together.
    { name: 'browser', testMatch: 'browser.spec.ts' },
    { name: 'desktop-light', use: { ...desktop, colorScheme: 'light' as const } },
    { name: 'desktop-dark', use: { ...desktop, colorScheme: 'dark' as const } },
    {
      name: 'phone',
      use: {
        ...devices['Pixel 7'],
        viewport: { width: 390, height: 844 },
        colorScheme: 'dark' as const,
        locale: 'zh-CN',
      },
    },
    { name: 'zh-CN', use: { ...desktop, locale: 'zh-CN' } },
  ].map((project) =>
    project.name === 'browser' ? project : { ...project, testIgnore: 'browser.spec.ts', dependencies: ['browser'] },
  ),
});
