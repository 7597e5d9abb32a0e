// Events are the same however their bytes are cut and their lines are ended.
import { describe, expect, it } from 'vitest';
import { SseParser } from './sse';

const bytes = (text: string) => new TextEncoder().encode(text);
const whole = (text: string) => new SseParser().push(bytes(text));

function inPieces(all: Uint8Array, size: number) {
  const parser = new SseParser();
  const events = [];
  for (let at = 0; at < all.length; at += size) events.push(...parser.push(all.slice(at, at + size)));
  return events;
}

describe('server-sent events', () => {
  it('have a name and data', () => {
    expect(whole('event: status\ndata: {"a":1}\n\ndata:x\n\n')).toEqual([
      { name: 'status', data: '{"a":1}' },
      { name: 'message', data: 'x' },
    ]);
  });

  it.each(['\n', '\r\n', '\r'])('may end their lines with %j', (end) => {
    const text = ['event: a', 'data: 1', 'data: 2', '', 'data: 3', '', ''].join(end);
    expect(whole(text)).toEqual([
      { name: 'a', data: '1\n2' },
      { name: 'message', data: '3' },
    ]);
  });

  it('are the same in pieces of any size', () => {
    const all = bytes('event: métriques\r\ndata: {"name":"网络 🐿"}\r\n\r\n: ping\r\n\r\ndata: 2\r\n\r\n');
    const expected = [
      { name: 'métriques', data: '{"name":"网络 🐿"}' },
      { name: 'message', data: '2' },
    ];
    for (let size = 1; size <= all.length; size += 1) expect(inPieces(all, size), `size ${size}`).toEqual(expected);
  });

  it('come after a byte order mark, comments and fields that nobody knows', () => {
    expect(whole('\uFEFFdata: 1\nid: 7\nretry: 10\nlater\n: a comment\n\n:\n\nevent: nothing\n\n')).toEqual([
      { name: 'message', data: '1' },
    ]);
  });

  it('keep all but the first space of their data', () => {
    expect(whole('data:  two\ndata\ndata:\n\n')).toEqual([{ name: 'message', data: ' two\n\n' }]);
  });
});
