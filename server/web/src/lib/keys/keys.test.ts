// Shortcuts run where they should, and rest where somebody types.
import { expect, it, vi } from 'vitest';
import { keys } from './keys.svelte';

class FakeElement {
  closest = () => ({});
}
vi.stubGlobal('Element', FakeElement);

function press(key: string, changes: Partial<KeyboardEvent> = {}): void {
  keys.press({ key, target: null, preventDefault: () => undefined, ...changes } as unknown as KeyboardEvent);
}
const typedInto = () => new FakeElement() as unknown as EventTarget;

it('runs keys and sequences, and nothing else', () => {
  const ran: string[] = [];
  const shortcut = (name: string) => ({ keys: name, label: () => name, run: () => ran.push(name) });
  const unbind = keys.bind([shortcut('j'), shortcut('g f'), shortcut('?')]);
  press('j');
  press('g');
  press('f');
  press('?');
  press('f');
  press('g');
  press('j');
  press('f');
  expect(ran).toEqual(['j', 'g f', '?']);
  unbind();
  press('j');
  expect(ran.length).toBe(3);
});

it('rests while somebody types, composes, or means another shortcut', () => {
  let count = 0;
  const unbind = keys.bind([{ keys: 'j', label: () => '', run: () => (count += 1) }]);
  press('j', { target: typedInto() });
  press('j', { isComposing: true });
  press('j', { ctrlKey: true });
  press('j', { metaKey: true });
  press('j', { altKey: true });
  press('j', { defaultPrevented: true });
  expect(count).toBe(0);
  press('j');
  expect(count).toBe(1);
  unbind();
});

it('leaves the space bar to buttons', () => {
  let count = 0;
  const unbind = keys.bind([{ keys: 'Space', label: () => '', run: () => (count += 1) }]);
  const on = (what: string) => {
    const target = new FakeElement();
    target.closest = ((selector: string) => (selector.includes(what) ? {} : null)) as FakeElement['closest'];
    return target as unknown as EventTarget;
  };
  press(' ', { target: on('button') });
  expect(count).toBe(0);
  press(' ', { target: on('a[href]') });
  expect(count).toBe(1);
  unbind();
});

it('gives up a sequence after a while', () => {
  vi.useFakeTimers();
  let count = 0;
  const unbind = keys.bind([{ keys: 'g f', label: () => '', run: () => (count += 1) }]);
  press('g');
  vi.advanceTimersByTime(1500);
  press('f');
  expect(count).toBe(0);
  unbind();
  vi.useRealTimers();
});

it('lets a page take over a key of every page', () => {
  const ran: string[] = [];
  const unbindAll = keys.bind([{ keys: '/', label: () => '', run: () => ran.push('palette') }]);
  const unbindPage = keys.bind([{ keys: '/', label: () => '', run: () => ran.push('field') }]);
  press('/');
  unbindPage();
  press('/');
  expect(ran).toEqual(['field', 'palette']);
  unbindAll();
});
