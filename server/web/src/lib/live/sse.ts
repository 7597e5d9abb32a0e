// Reads server-sent events from the bytes of a stream, however they are cut. Our own because EventSource tells neither the
// status of an answer nor how long to wait.

export interface ServerSentEvent {
  readonly name: string;
  readonly data: string;
}

/** A line that is longer comes from no server of ours. */
const LINE_CHARS_MAX = 32 * 1024 * 1024;

export class SseParser {
  // Takes a byte order mark away, and keeps a character that is cut in two until its rest comes.
  readonly #decoder = new TextDecoder();
  #rest = '';
  #endsWithReturn = false;
  #name = '';
  #data: string[] = [];

  /** The events that these bytes complete. Comments and what nobody knows are skipped. */
  push(chunk: Uint8Array): ServerSentEvent[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === '') return [];
    // A CRLF that was cut in two is one end of a line.
    if (this.#endsWithReturn && text.startsWith('\n')) text = text.slice(1);
    this.#endsWithReturn = text === '' ? false : text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_CHARS_MAX) throw new Error(`a line of more than ${LINE_CHARS_MAX} characters`);
    return lines.flatMap((line) => this.#read(line) ?? []);
  }

  #read(line: string): ServerSentEvent | null {
    if (line === '') return this.#complete();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    else if (field === 'data') this.#data.push(value);
    return null;
  }

  #complete(): ServerSentEvent | null {
    const [name, data] = [this.#name || 'message', this.#data];
    this.#name = '';
    this.#data = [];
    return data.length > 0 ? { name, data: data.join('\n') } : null;
  }
}
