// What every scenario starts with, and what makes any of them fail: an error in the console, a report of the policy, an
// unhandled rejection, a request to another origin, or a finding of axe at its end.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test as base, expect, type APIRequestContext, type Page } from '@playwright/test';
import { en, type Messages } from '../src/lib/i18n/en';
import { zh } from '../src/lib/i18n/zh';

export { expect };

export const ADMIN = { username: 'admin', password: process.env['PIKA_E2E_PASSWORD'] ?? '' };

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

type Expected = Readonly<Record<string, number | readonly number[]>>;

interface Options {
  /**
   * Answers that the scenario provokes, as `{ '/api/login': 401 }`: the browser calls each of them an error. A `*` stands
   * for any segment. 0: none at all, or half of one.
   */
  expected: Expected;
}

interface Fixtures {
  /** What is done once the page has been looked at for the last time, in this order. */
  afterPage: (() => Promise<void>)[];
  /** The texts of the project's language. */
  t: Messages;
  /** The API as the administrator, beside the page and without its cookies. */
  api: Api;
  /** The page, looked after. */
  page: Page;
  /** Looks for obstacles in what the page shows now; done at the end anyway. */
  checkAccessible: () => Promise<void>;
  /** Logs the page's browser in without the form. */
  logIn: (who?: { username: string; password: string }) => Promise<void>;
}

export const PASSWORD = 'a password of eight or more';

/** A user of this scenario alone. */
export async function makeUser(api: Api, name: string) {
  const username = `${name}-${base.info().project.name}-${randomBytes(3).toString('hex')}`;
  const { user } = await api.send<{ user: { id: string } }>('POST', '/api/users', { username, password: PASSWORD });
  return { id: user.id, username, password: PASSWORD };
}

/** The button that shows who is logged in. */
export const accountButton = (page: Page, t: Messages) => page.getByRole('button', { name: t.shell.account });

/** Fills the login in and sends it. */
export async function fillIn(page: Page, t: Messages, who: { username: string; password: string }) {
  await page.getByLabel(t.login.username).fill(who.username);
  await page.getByLabel(t.login.password).fill(who.password);
  await page.getByRole('button', { name: t.login.submit }).click();
}

/** The API with a session's token. */
export class Api {
  constructor(
    private readonly request: APIRequestContext,
    private readonly token: string,
  ) {}

  async send<T>(method: string, path: string, data?: unknown): Promise<T> {
    const headers = { Authorization: `Bearer ${this.token}` };
    const answer = await this.request.fetch(path, { method, headers, ...(data === undefined ? {} : { data }) });
    if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return (answer.status() === 204 ? undefined : await answer.json()) as T;
  }

  /** The same as somebody else. */
  async as(who: { username: string; password: string }): Promise<Api> {
    return new Api(this.request, await tokenOf(this.request, who));
  }
}

async function tokenOf(request: APIRequestContext, who: { username: string; password: string }): Promise<string> {
  const { username, password } = who;
  const answer = await request.post('/api/login', { data: { username, password } });
  if (!answer.ok()) throw new Error(`login as ${who.username}: ${answer.status()} ${await answer.text()}`);
  return ((await answer.json()) as { token: string }).token;
}

/** Everything that a page must not do. Empty is good. */
function watch(page: Page, origin: string, expected: Expected): string[] {
  const problems: string[] = [];
  const isExpected = (path: string, status: number) =>
    Object.entries(expected).some(
      ([pattern, codes]) =>
        [codes].flat().includes(status) && new RegExp(`^${pattern.replaceAll('*', '[^/]+')}$`).test(path),
    );
  page.on('pageerror', (error) => problems.push(`not caught: ${error.stack ?? error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const answered = /the server responded with a status of (\d+)/.exec(message.text())?.[1];
    const status = answered ?? (message.text().includes('net::ERR_') ? '0' : undefined);
    const path = status && new URL(message.location().url).pathname;
    if (path && isExpected(path, Number(status))) return;
    problems.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && url.origin !== origin) {
      problems.push(`a request to another origin: ${request.url()}`);
    }
  });
  return problems;
}

async function findObstacles(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(async (tags) => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run(document, { runOnly: tags });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
  }, AXE_TAGS);
  return found.map((violation) => `axe: ${violation}`);
}

export const test = base.extend<Fixtures & Options>({
  expected: [{}, { option: true }],

  // eslint-disable-next-line no-empty-pattern -- the signature that Playwright demands
  afterPage: async ({}, use) => {
    const tasks: (() => Promise<void>)[] = [];
    await use(tasks);
    for (const task of tasks) await task();
  },

  t: async ({ locale }, use) => use(locale?.startsWith('zh') ? zh : en),

  api: async ({ playwright, baseURL, ignoreHTTPSErrors, afterPage }, use) => {
    const options = { ...(baseURL && { baseURL }), ignoreHTTPSErrors: Boolean(ignoreHTTPSErrors) };
    const request = await playwright.request.newContext(options);
    // With the cookie of one login a second would end the first.
    const token = await tokenOf(request, ADMIN);
    await request.dispose();
    const bare = await playwright.request.newContext(options);
    await use(new Api(bare, token));
    afterPage.push(() => bare.dispose());
  },

  page: async ({ page, baseURL, expected, afterPage }, use) => {
    // Asked for so that it outlives the page.
    void afterPage;
    const problems = watch(page, new URL(baseURL ?? '').origin, {
      // Before a login the page asks who is logged in, and nobody is.
      '/api/account/info': 401,
      // All scenarios are one user, who may have so many charts made at the same time.
      '/api/agents/metrics/sparklines': 429,
      '/api/fleet/*': 429,
      // A server that was not told to offers no agents.
      '/install/SHA256SUMS': 404,
      ...expected,
    });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`the policy blocks ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
      });
    });
    await use(page);
    if (!page.isClosed() && page.url().startsWith('http')) problems.push(...(await findObstacles(page)));
    expect(problems, 'what the page did wrong').toEqual([]);
  },

  checkAccessible: async ({ page }, use) => {
    await use(async () => expect(await findObstacles(page)).toEqual([]));
  },

  logIn: async ({ context, baseURL, playwright }, use) => {
    await use(async (who = ADMIN) => {
      const request = await playwright.request.newContext(baseURL ? { baseURL } : {});
      await tokenOf(request, who);
      await context.addCookies((await request.storageState()).cookies);
      await request.dispose();
    });
  },
});
