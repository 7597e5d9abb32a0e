// Alerts from the rule to the message: a rule of the scenario fires for a machine of its own, people look after it, and a
// receiver on this machine is told.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, makeUser, type Api } from './fixtures';
import { test as base } from './firing';
import { makeMachine } from './histories';
import { nameOf } from './machines';

interface Receiver {
  readonly url: string;
  /** Bodies of requests, in their order. */
  readonly bodies: string[];
  status: number;
}

const test = base.extend<{ receiver: Receiver }>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads which fixtures are asked for
  receiver: async ({}, use) => {
    const bodies: string[] = [];
    const receiver = { url: '', bodies, status: 200 };
    const server: Server = createServer((request, response) => {
      let body = '';
      request.on('data', (data: Buffer) => (body += data.toString()));
      request.on('end', () => {
        bodies.push(body);
        response.writeHead(receiver.status).end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    await use(receiver);
    server.close();
  },
});

/** Removes every channel of this project's scenario. */
async function removeChannels(api: Api, name: string) {
  const { items } = await api.send<{ items: { id: string; name: string }[] }>('GET', '/api/alert-channels');
  for (const { id } of items.filter((channel) => channel.name === name)) {
    await api.send('DELETE', `/api/alert-channels/${id}`);
  }
}

test('what fires is listed with its value; somebody looks after it, snoozes it and notes why', async ({
  page,
  t,
  logIn,
  enroll,
  report,
  fire,
  checkAccessible,
}) => {
  const name = nameOf('hot');
  const machine = await enroll(name, ['<b>web</b>']);
  report(machine, 97);
  const rule = nameOf('hot <i>rule</i>');
  const id = await fire(machine.id, rule);

  await logIn();
  await page.goto('/alerts');
  const t_ = t.alerts;
  await page.getByRole('searchbox').fill(rule);
  await expect(page).toHaveURL(/\?q=/);
  const row = page.getByRole('article').filter({ hasText: rule });
  await expect(row).toContainText('97');
  await expect(row).toContainText(t_.severities.warning);
  await expect(row.getByRole('link', { name, exact: true })).toHaveAttribute('href', `/agents/${machine.id}`);
  await expect(page.getByRole('banner').getByRole('link', { name: /\d/ })).toBeVisible();
  await checkAccessible();

  await row.getByRole('link', { name: rule }).click();
  await expect(page).toHaveURL(`/alerts/${id}`);
  await page.getByRole('button', { name: t_.acknowledge.action, exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(t_.note).fill('<script>alert(1)</script>');
  await checkAccessible();
  await dialog.getByRole('button', { name: t_.acknowledge.take, exact: true }).click();
  await expect(page.getByRole('button', { name: t_.acknowledge.back })).toBeVisible();
  await expect(page.getByText('<script>alert(1)</script>').first()).toBeVisible();
  await expect(page.getByText(t_.acknowledgedBy('admin')).first()).toBeVisible();

  await page.getByRole('button', { name: t_.snooze.action, exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: t_.snooze.action, exact: true }).click();
  await expect(page.getByRole('button', { name: t_.snooze.end })).toBeVisible();
  await page.getByRole('button', { name: t_.snooze.end }).click();
  await expect(page.getByRole('button', { name: t_.snooze.action, exact: true })).toBeVisible();
  await page.getByRole('button', { name: t_.acknowledge.back }).click();
  await expect(page.getByRole('button', { name: t_.acknowledge.action, exact: true })).toBeVisible();
  await expect(page.getByText(t_.events.unacknowledged).first()).toBeVisible();

  await page.goto(`/agents/${machine.id}`);
  await page.getByRole('link', { name: t_.machineFires('1', true) }).click();
  await expect(page).toHaveURL(`/alerts?agent=${machine.id}`);
  await expect(page.getByRole('article')).toHaveCount(1);
});

test('what is over is in the history, and its filters are in the address', async ({
  page,
  t,
  logIn,
  enroll,
  report,
  fire,
  checkAccessible,
}) => {
  const machine = await enroll(nameOf('cooling'));
  report(machine, 97);
  const rule = nameOf('cooling');
  const id = await fire(machine.id, rule);
  await logIn();
  await page.goto(`/alerts/${id}`);
  await expect(page.getByRole('button', { name: t.alerts.acknowledge.action, exact: true })).toBeVisible();
  report(machine, 0);
  await expect(page.getByText(t.alerts.states.resolved).first()).toBeVisible({ timeout: 50_000 });
  // The alert and its events are each asked for every quarter of a minute.
  const acknowledge = page.getByRole('button', { name: t.alerts.acknowledge.action, exact: true });
  await expect(acknowledge).toHaveCount(0, { timeout: 40_000 });

  await page.getByRole('link', { name: t.alerts.pages.alertHistory }).click();
  await page.getByRole('searchbox').fill(rule);
  await page.getByLabel(t.common.state).selectOption('resolved');
  await expect(page).toHaveURL(/state=resolved/);
  await expect(page.getByRole('article')).toHaveCount(1);
  await checkAccessible();
  await page.getByLabel(t.alerts.severity).selectOption('critical');
  await expect(page.getByText(t.alerts.noMatch)).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('article')).toHaveCount(1);
});

test('a channel is made, tried, changed without its secret, and what fails says why', async ({
  page,
  t,
  api,
  logIn,
  receiver,
  checkAccessible,
}) => {
  const name = nameOf('hook');
  await logIn();
  await page.goto('/settings/channels');
  await page.getByRole('link', { name: t.channels.create }).first().click();
  await expect(page.getByRole('link', { name: 'Telegram' })).toBeVisible();
  await checkAccessible();
  await page.getByRole('link', { name: 'Webhook' }).click();
  await expect(page).toHaveURL('/settings/channels/new?kind=webhook');
  await page.getByLabel(t.channels.form.name, { exact: true }).fill(name);
  await page.getByLabel(t.channels.fields.url).fill(receiver.url);
  // Rules of other scenarios shall not tell it.
  await page.getByLabel(t.channels.form.isDefault).uncheck();
  await checkAccessible();
  await page.getByRole('button', { name: t.channels.test.action }).click();
  await expect(page.getByRole('status').filter({ hasText: 'ms' })).toBeVisible();
  expect(receiver.bodies).toHaveLength(1);

  await page.getByRole('button', { name: t.channels.preview.action }).click();
  await expect(page.getByRole('dialog')).toContainText('pika.alerts/1');
  await expect(page.getByRole('dialog')).not.toContainText(receiver.url);
  await page.getByRole('dialog').getByRole('button', { name: t.common.close }).last().click();
  await page.getByRole('button', { name: t.common.create }).click();
  await expect(page).toHaveURL('/settings/channels');

  await page.getByRole('link', { name }).click();
  await expect(page.getByLabel(t.channels.fields.url)).toHaveValue('');
  await expect(page.locator('body')).not.toContainText(receiver.url);
  await page.getByLabel(t.channels.form.tellsResolved).uncheck();
  receiver.status = 404;
  await page.getByRole('button', { name: t.channels.test.action }).click();
  await expect(page.getByText(t.channels.test.status('404'))).toBeVisible();
  await page.getByRole('button', { name: t.common.save }).click();
  await expect(page).toHaveURL('/settings/channels');
  const { items } = await api.send<{ items: { name: string; tellsResolved: boolean; secrets: object }[] }>(
    'GET',
    '/api/alert-channels',
  );
  const kept = items.find((channel) => channel.name === name);
  expect(kept?.tellsResolved).toBe(false);
  expect(Object.keys(kept?.secrets ?? {})).toEqual(['url']);

  const item = page.getByRole('listitem').filter({ has: page.getByRole('link', { name, exact: true }) });
  receiver.status = 200;
  await item.getByRole('button', { name: t.channels.test.action }).click();
  await expect(item.getByRole('status')).toBeVisible();
  await item.getByRole('button', { name: t.channels.disable }).click();
  await expect(item).toContainText(t.channels.disabled);
  await item.getByRole('button', { name: t.channels.delete }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.channels.delete }).click();
  await expect(item).toHaveCount(0);
  await removeChannels(api, name);
});

test.describe('an address within the network', () => {
  test.use({ expected: { '/api/alert-channels': 422 } });

  test('is refused, and the page says what allows it', async ({ page, t, logIn }) => {
    await logIn();
    await page.goto('/settings/channels/new?kind=webhook');
    await page.getByLabel(t.channels.form.name, { exact: true }).fill(nameOf('inside'));
    await page.getByLabel(t.channels.fields.url).fill('http://192.168.7.7/hook');
    await page.getByRole('button', { name: t.common.create }).click();
    await expect(page.getByRole('alert')).toContainText('allowed_networks');
  });
});

test('without a channel the page says that nobody is told; users see it and no channels', async ({
  page,
  t,
  api,
  logIn,
}) => {
  await page.route('/api/alerts/summary', async (route) => {
    const answer = await route.fetch();
    const summary = (await answer.json()) as { channels: number };
    await route.fulfill({ response: answer, json: { ...summary, channels: 0 } });
  });
  await logIn(await makeUser(api, 'reader'));
  await page.goto('/alerts');
  await expect(page.getByText(t.alerts.nobodyTold)).toBeVisible();
  await expect(page.getByRole('link', { name: t.alerts.addChannel })).toHaveCount(0);
  await page.goto('/settings/channels');
  await expect(page.getByText(t.common.notAllowed.title)).toBeVisible();
  await logIn();
  await page.goto('/alerts');
  await page.getByRole('link', { name: t.alerts.addChannel }).click();
  await expect(page).toHaveURL('/settings/channels/new');
});

test('a rule is made, asked for whom it would hold, disabled and deleted', async ({
  page,
  t,
  logIn,
  enroll,
  report,
  checkAccessible,
}) => {
  const name = nameOf('ruled');
  const machine = await enroll(name);
  report(machine, 97);
  await logIn();
  await page.goto('/alerts/rules');
  await checkAccessible();
  await page.getByRole('link', { name: t.rules.create }).click();
  await expect(page).toHaveURL('/alerts/rules/new');
  await page.getByLabel(t.rules.form.name, { exact: true }).fill(name);
  const warning = t.rules.form.threshold(t.alerts.severities.warning, '%');
  await expect(page.getByRole('button', { name: t.rules.test.action })).toBeDisabled();
  await page.getByLabel(warning, { exact: true }).fill('99.5');
  await page.getByRole('radio', { name: t.rules.scopes.agents }).check({ force: true });
  await page.getByLabel(t.rules.form.agents, { exact: true }).selectOption(machine.id);
  await page.getByRole('radio', { name: t.rules.form.channelKinds.nobody }).check({ force: true });
  await checkAccessible();
  await page.getByRole('button', { name: t.rules.test.action }).click();
  await expect(page.getByRole('region', { name: t.rules.test.title })).toContainText(name);
  await page.getByRole('button', { name: t.common.create }).click();
  await expect(page).toHaveURL('/alerts/rules');
  const row = page.getByRole('article').filter({ hasText: name });
  await expect(row).toContainText('99.5');
  const answered = page.waitForResponse((answer) => answer.url().endsWith('/status'));
  await row.getByRole('checkbox').uncheck();
  expect((await answered).status()).toBe(200);
  await page.reload();
  await expect(row.getByRole('checkbox')).not.toBeChecked();
  await row.getByRole('button', { name: t.rules.delete }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.rules.delete }).click();
  await expect(row).toHaveCount(0);
});

test('a rule is back-tested: how often it would have fired, and where on the chart of a machine', async ({
  page,
  t,
  api,
  logIn,
  checkAccessible,
  baseURL,
}) => {
  const name = nameOf('replayed');
  const machine = await makeMachine(baseURL ?? '', api, { name, fromMs: 90 * 60_000, everyMs: 15_000 });
  try {
    await logIn();
    await page.goto('/alerts/rules/new');
    const t_ = t.rules.backtest;
    await page.getByLabel(t.rules.form.name, { exact: true }).fill(name);
    const warning = t.rules.form.threshold(t.alerts.severities.warning, '%');
    // Its curve rises above this twice within the history.
    await page.getByLabel(warning, { exact: true }).fill('55');
    await page.getByRole('radio', { name: t.rules.scopes.agents }).check({ force: true });
    await page.getByLabel(t.rules.form.agents, { exact: true }).selectOption(machine.id);
    const region = page.getByRole('region', { name: t_.title });
    // The chart has a status of its own.
    const found = region.getByRole('status').first();
    await region.getByRole('radio', { name: t_.spans.day }).check({ force: true });
    await region.getByRole('button', { name: t_.action }).click();
    await expect(found).toContainText(/[1-9]/);
    await expect(region.getByLabel(t_.machine)).toContainText(new RegExp(`${machine.name}.+[1-9]`));
    await expect(region.locator('[data-chart="backtest-cpu"] canvas')).toBeVisible();
    await checkAccessible();
    // What has no history is said.
    await page.getByLabel(t.rules.form.kind).selectOption('identityConflict');
    await region.getByRole('button', { name: t_.action }).click();
    await expect(found).toContainText(t_.limits.notReplayable);
    await expect(region.getByLabel(t_.machine)).toHaveCount(0);
  } finally {
    await page.goto('about:blank');
    await api.send('DELETE', `/api/agents/${machine.id}`);
  }
});

test('quiet hours show their next times, are made, changed and ended', async ({ page, t, logIn, checkAccessible }) => {
  const name = nameOf('nights');
  await logIn();
  await page.goto('/alerts/silences');
  await page.getByRole('button', { name: t.silences.create }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(t.silences.form.name, { exact: true }).fill(name);
  await dialog.getByRole('radio', { name: t.silences.form.modes.recurring }).check({ force: true });
  await dialog.getByLabel(t.silences.weekdays.mon, { exact: true }).check();
  await dialog.getByRole('button', { name: t.silences.preview.action }).click();
  await expect(dialog.getByRole('status').getByRole('listitem')).toHaveCount(5);
  await checkAccessible();
  // What other scenarios wait for is not silenced: nobody has this tag.
  await dialog.getByRole('radio', { name: t.rules.scopes.tags }).check({ force: true });
  await dialog.getByLabel(t.rules.form.tags).fill('nobody-has-this');
  await dialog.getByRole('button', { name: t.common.create }).click();
  const item = page.getByRole('listitem').filter({ hasText: name });
  await expect(item).toContainText('22:00–07:00');
  await item.getByRole('button', { name: t.silences.edit }).click();
  await expect(dialog.getByLabel(t.silences.form.name, { exact: true })).toHaveValue(name);
  await expect(dialog.getByLabel(t.silences.weekdays.mon, { exact: true })).toBeChecked();
  await dialog.getByLabel(t.silences.form.stop, { exact: true }).fill('06:15');
  await checkAccessible();
  await dialog.getByRole('button', { name: t.common.save }).click();
  await expect(item).toContainText('22:00–06:15');
  await item.getByRole('button', { name: t.silences.end }).click();
  await page.getByRole('dialog').getByRole('button', { name: t.silences.end }).click();
  await expect(item).toHaveCount(0);
});

test.describe('a silence that somebody else changes meanwhile', () => {
  test.use({ expected: { '/api/alert-silences/*': 409 } });

  test('is not overwritten', async ({ page, t, api, logIn }) => {
    const name = nameOf('shared silence');
    const scope = { kind: 'tags', tags: ['nobody-has-this'] };
    const body = {
      kind: 'maintenance',
      name,
      matcher: { scope },
      startsAt: Date.now(),
      endsAt: Date.now() + 7_200_000,
    };
    const { id, version } = await api.send<{ id: string; version: number }>('POST', '/api/alert-silences', body);
    await logIn();
    await page.goto('/alerts/silences');
    const item = page.getByRole('listitem').filter({ hasText: name });
    const dialog = page.getByRole('dialog');
    await item.getByRole('button', { name: t.silences.edit }).click();
    await api.send('PUT', `/api/alert-silences/${id}`, { ...body, comment: 'of somebody else', version });
    await dialog.getByLabel(t.silences.form.comment).fill('mine');
    await dialog.getByRole('button', { name: t.common.save }).click();
    await expect(dialog.getByRole('alert')).toHaveText(t.common.changedMeanwhile);
    await dialog.getByRole('button', { name: t.common.cancel }).click();
    await expect(item).toContainText('of somebody else');
    // The end that nobody touched has not moved.
    await item.getByRole('button', { name: t.silences.edit }).click();
    await dialog.getByLabel(t.silences.form.comment).fill('mine');
    await dialog.getByRole('button', { name: t.common.save }).click();
    await expect(item).toContainText('mine');
    const kept = await api.send<{ endsAt: number; kind: string }>('GET', `/api/alert-silences/${id}`);
    expect(kept).toMatchObject({ endsAt: body.endsAt, kind: 'maintenance' });
    await api.send('DELETE', `/api/alert-silences/${id}`);
  });
});

test('several alerts are acknowledged with one note', async ({ page, t, api, logIn, enroll, report, fire }) => {
  const rule = nameOf('many');
  const ids: string[] = [];
  for (const n of [1, 2, 3]) {
    const machine = await enroll(nameOf(`many${n}`));
    report(machine, 97);
    ids.push(await fire(machine.id, `${rule} ${n}`));
  }
  await logIn();
  await page.goto(`/alerts?q=${encodeURIComponent(rule)}`);
  const { acknowledge } = t.alerts;
  await expect(page.getByRole('article')).toHaveCount(3);
  await page.getByLabel(acknowledge.chooseAll).check();
  await page.getByLabel(acknowledge.choose(`${rule} 2`, nameOf('many2'))).uncheck();
  await expect(page.getByLabel(acknowledge.chooseAll)).toHaveJSProperty('indeterminate', true);
  await page.getByRole('button', { name: acknowledge.chosen('2') }).click();
  await page.getByRole('dialog').getByLabel(t.alerts.note).fill('one rack');
  await page.getByRole('dialog').getByRole('button', { name: acknowledge.take, exact: true }).click();
  await expect(page.getByText(acknowledge.allDone('2'))).toBeVisible();
  await expect(page.getByRole('article').filter({ hasText: t.alerts.acknowledgedBy('admin') })).toHaveCount(2);
  // What somebody looks after can be chosen no longer.
  await expect(page.getByRole('checkbox')).toHaveCount(2);
  const notes = await Promise.all(ids.map((id) => api.send<{ note?: string }>('GET', `/api/alerts/${id}`)));
  expect(notes.map(({ note }) => note ?? '')).toEqual(['one rack', '', 'one rack']);
});

test.describe('the settings of alerting', () => {
  test.use({ expected: { '/api/settings/alerting': 409 } });

  interface Settings {
    version: number;
    historyKeepMs: number;
  }

  test('name a URL that is told of evaluations, and never show it again', async ({
    page,
    t,
    api,
    logIn,
    receiver,
    checkAccessible,
  }) => {
    const words = t.settings.alerting;
    await logIn();
    // Other projects change the same settings at the same time.
    await expect(async () => {
      await page.goto('/settings/alerting');
      const fields = page.getByRole('region', { name: words.heartbeats });
      await fields.getByRole('button', { name: words.heartbeatAdd }).click();
      await fields.getByLabel(words.heartbeatUrl, { exact: true }).fill(`${receiver.url}/secret-path`);
      const answered = page.waitForResponse((answer) => answer.request().method() === 'PUT');
      await page.getByRole('button', { name: t.common.save }).click();
      expect((await answered).status()).toBe(200);
    }).toPass();
    try {
      await expect.poll(() => receiver.bodies.length, { timeout: 50_000 }).toBeGreaterThan(0);
      await page.goto('/settings/alerting');
      const { port } = new URL(receiver.url);
      const kept = page
        .getByLabel(words.heartbeatTo(`127.0.0.1:${port}`))
        .or(page.getByLabel(words.heartbeatTo('127.0.0.1')));
      await expect(kept.first()).toHaveValue('');
      expect(await page.content()).not.toContain('secret-path');
      await checkAccessible();
    } finally {
      await expect(async () => {
        const now = await api.send<Settings>('GET', '/api/settings/alerting');
        await api.send('PUT', '/api/settings/alerting', { ...now, heartbeats: [] });
      }).toPass();
    }
  });

  test('are changed, and not over what somebody else has changed', async ({ page, t, api, logIn, checkAccessible }) => {
    const before = await api.send<Settings>('GET', '/api/settings/alerting');
    const words = t.settings.alerting;
    await logIn();
    await page.goto('/settings/alerting');
    await checkAccessible();
    const days = 200 + Math.floor(Math.random() * 100);
    const save = page.getByRole('button', { name: t.common.save });
    // Other projects change the same settings at the same time.
    await expect(async () => {
      await page.goto('/settings/alerting');
      await page.getByLabel(words.historyKeep, { exact: true }).fill(String(days));
      const answered = page.waitForResponse((answer) => answer.request().method() === 'PUT');
      await save.click();
      const answer = await answered;
      expect(answer.status()).toBe(200);
      expect(((await answer.json()) as Settings).historyKeepMs).toBe(days * 86_400_000);
    }).toPass();
    await expect(page.getByText(t.common.saved)).toBeVisible();

    await expect(async () => {
      const now = await api.send<Settings>('GET', '/api/settings/alerting');
      await api.send('PUT', '/api/settings/alerting', { ...before, version: now.version });
    }).toPass();
    await page.getByLabel(words.historyKeep, { exact: true }).fill('77');
    await save.click();
    await expect(page.getByRole('alert')).toHaveText(t.common.changedMeanwhile);
    await logIn(await makeUser(api, 'reader'));
    await page.goto('/settings/alerting');
    await expect(page.getByText(t.common.notAllowed.title)).toBeVisible();
  });
});
