// Sentences of the audit log come apart into words and links.
import { expect, it } from 'vitest';
import { en } from '$lib/i18n/en';
import { zh } from '$lib/i18n/zh';
import server from '../../../../src/domain/audit.rs?raw';
import { parts } from './sentence';

it('takes a sentence apart', () => {
  expect(parts('{actor} disabled {object}, {not}', ['actor', 'object'])).toEqual([
    { name: 'actor' },
    { words: ' disabled ' },
    { name: 'object' },
    { words: ', ' },
    { words: '{not}' },
  ]);
});

it('has a sentence for every action of the server, in both languages', () => {
  const actions = [...server.matchAll(/ = "(\w+\.\w+)"/g)].map(([, action]) => action);
  expect(actions.length).toBeGreaterThan(20);
  for (const { audit } of [en, zh]) expect(Object.keys(audit.actions).sort()).toEqual([...actions].sort());
});
