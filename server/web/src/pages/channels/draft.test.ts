// Channels while they are edited: nothing is lost on the way, and secrets only go where they are typed.
import { describe, expect, it } from 'vitest';
import type { Channel, ChannelField, ChannelKind } from '$lib/queries/channels';
import { draftOf, requestOf } from './draft';

const field = (name: string, type: string, more: Partial<ChannelField> = {}): ChannelField => ({
  name,
  type,
  secret: false,
  required: false,
  choices: [],
  ...more,
});

const mail: ChannelKind = {
  kind: 'smtp',
  name: 'Mail (SMTP)',
  hasBodyTemplate: false,
  fields: [
    field('host', 'host', { required: true }),
    field('port', 'integer', { default: 587 }),
    field('security', 'choice', { choices: ['starttls', 'implicit'], default: 'starttls' }),
    field('password', 'text', { secret: true }),
    field('to', 'mailAddresses', { required: true }),
    field('loud', 'boolean', { default: false }),
  ],
};

const channel: Channel = {
  id: '1',
  version: 4,
  name: 'ops',
  kind: 'smtp',
  enabled: true,
  isDefault: false,
  minSeverity: 'warning',
  tellsResolved: false,
  language: 'zh',
  timeZone: 'Asia/Shanghai',
  settings: { host: 'mail.example.org', port: 465, security: 'implicit', to: ['a@x.org', 'b@x.org'], loud: true },
  secrets: { password: { set: true, hint: '9f3c' } },
  templates: null,
  groupWaitMs: 1000,
  groupIntervalMs: 2000,
  minIntervalMs: 3000,
  perHourMax: 5,
  state: 'ok',
  createdAt: 0,
  updatedAt: 0,
} as unknown as Channel;

describe('a channel that is edited', () => {
  it('becomes the same again where nothing is typed, and keeps its secrets', () => {
    const request = requestOf(mail, draftOf(mail, channel), channel);
    expect(channel).toMatchObject({ ...request, secrets: {} });
    expect(request.secrets).toEqual({});
  });

  it('sends a secret that is typed, and null for one that is to go', () => {
    const draft = draftOf(mail, channel);
    expect(Object.values(draft.secrets)).toEqual(['']);
    draft.secrets['password'] = ' new ';
    draft.removed['password'] = true;
    expect(requestOf(mail, draft, channel).secrets).toEqual({ password: 'new' });
    draft.secrets['password'] = '';
    expect(requestOf(mail, draft, channel).secrets).toEqual({ password: null });
  });
});

describe('a new channel', () => {
  it('has the defaults of its kind, leaves out what is empty, and takes lists line by line', () => {
    const draft = draftOf(mail, null);
    expect(draft.settings).toEqual({ host: '', port: '', security: 'starttls', to: '', loud: false });
    draft.settings['to'] = ' a@x.org \n\n b@x.org';
    const request = requestOf(mail, draft, null);
    expect(request.settings).toEqual({ security: 'starttls', to: ['a@x.org', 'b@x.org'], loud: false });
    expect(request).not.toHaveProperty('version');
    expect(request.language).toBeNull();
  });

  it('leaves a number that is none for the server to name', () => {
    const draft = draftOf(mail, null);
    draft.settings['port'] = 'many';
    expect(requestOf(mail, draft, null).settings).toMatchObject({ port: 'many' });
  });
});
