// The commands for machines: nothing breaks out of them, and the token is in no list of processes.
import { expect, it } from 'vitest';
import { commands, isLoopback, isPinned, isTrusted, KINDS, quoted, understandAddress } from './commands';

const TOKEN = 'pika_enroll_AbC-_9';
const ADDRESS = 'https://pika.example.org';

it('quotes what a shell would understand otherwise', () => {
  expect(quoted(ADDRESS)).toBe(ADDRESS);
  expect(quoted('a b')).toBe("'a b'");
  expect(quoted("'; rm -rf /")).toBe("''\\''; rm -rf /'");
  expect(quoted('')).toBe("''");
});

it('understands addresses, and takes nothing else', () => {
  expect(understandAddress(' https://pika.example.org/ ')).toBe(ADDRESS);
  expect(understandAddress('http://[fd00::1]:18888/pika/')).toBe('http://[fd00::1]:18888/pika');
  for (const wrong of [
    '',
    'pika.example.org',
    'ftp://x',
    'javascript:alert(1)',
    'https://',
    'https://a b',
    "https://a'b",
  ])
    expect(understandAddress(wrong), wrong).toBeNull();
  expect(understandAddress('https://user:secret@pika.example.org'), 'no credentials').toBeNull();
  expect(understandAddress('https://a\nPIKA=1'), 'one line').toBeNull();
});

it('gives the token in the environment or in a file, never as an argument', () => {
  for (const kind of KINDS) {
    const lines = commands(kind, ADDRESS, TOKEN)?.split('\n') ?? [];
    const withToken = lines.filter((line) => line.includes(TOKEN));
    expect(withToken.length).toBe(kind === 'manual' || kind === 'script' ? 0 : 1);
    for (const line of withToken) expect(line).toMatch(/^(export )?PIKA_ENROLLMENT_TOKEN=/);
    if (kind !== 'manual') expect(lines.join('\n')).toContain(ADDRESS);
  }
});

it('downloads a script that is compared before it is run, and trusts the key that the token names', () => {
  const sum = 'a'.repeat(64);
  const shown = commands('script', ADDRESS, TOKEN, sum) ?? '';
  expect(shown).toContain(`${ADDRESS}/install/agent.sh`);
  expect(shown.indexOf(`echo '${sum}  pika.sh' | sha256sum -c &&`)).toBeGreaterThan(0);
  expect(shown.indexOf('sha256sum')).toBeLessThan(shown.indexOf('sh pika.sh'));
  expect(shown).not.toContain('-k');
  const pinned = commands('script', ADDRESS, `${TOKEN}.a-b_c`, sum) ?? '';
  expect(pinned).toContain(`-k --pinnedpubkey 'sha256//a+b/c='`);
  expect(pinned).not.toContain(TOKEN);
  expect([ADDRESS, 'http://localhost:18888', 'http://10.0.0.5:18888'].map(isTrusted)).toEqual([true, true, false]);
});

it('knows which addresses other machines cannot reach, and which tokens carry a key', () => {
  for (const near of ['http://localhost:1', 'http://127.0.0.1:18888', 'http://[::1]:1'])
    expect(isLoopback(near)).toBe(true);
  for (const far of [ADDRESS, 'http://10.0.0.5:18888']) expect(isLoopback(far)).toBe(false);
  expect(isPinned(TOKEN)).toBe(false);
  expect(isPinned(`${TOKEN}.c2hhMjU2`)).toBe(true);
});
