// The PostgreSQL wire protocol (version 3) as far as the bridge has to know it: cutting a byte stream into single
// messages, reading the few fields that matter, and building messages. Nothing here knows of sockets or of PGlite.

/** A message larger than this is taken for a stream that is out of step, not for a request. */
const LARGEST_MESSAGE = 256 * 1024 * 1024;

export const STARTUP = { cancel: 80877102, ssl: 80877103, gss: 80877104 };

/** Cuts a client's stream into messages. Until `started` is set they carry no type byte. */
export class MessageCutter {
  started = false;
  #chunks = [];
  #size = 0;
  #needed = 0;

  /** Takes the next chunk; yields each message that is complete with it, lazily, so that `started` may change between two. */
  *push(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    // Joining only once everything has arrived keeps a message of many megabytes linear.
    if (this.#size < this.#needed) return;
    const bytes = Buffer.concat(this.#chunks);
    let at = 0;
    for (;;) {
      this.#needed = this.#lengthAt(bytes, at);
      if (bytes.length - at < this.#needed) break;
      at += this.#needed;
      yield bytes.subarray(at - this.#needed, at);
    }
    this.#chunks = [bytes.subarray(at)];
    this.#size = bytes.length - at;
  }

  /** How long the message at `at` is, or its header where even that is not there yet. */
  #lengthAt(bytes, at) {
    const typeBytes = this.started ? 1 : 0;
    const header = typeBytes + 4;
    if (bytes.length - at < header) return header;
    const length = bytes.readInt32BE(at + typeBytes);
    if (length < 4 || length > LARGEST_MESSAGE) throw new Error(`a message of ${length} bytes: the stream is out of step`);
    return typeBytes + length;
  }
}

export const typeOf = (message) => String.fromCharCode(message[0]);

/** The zero-terminated string at `at`, and where the next field starts. */
export function stringAt(message, at) {
  const end = message.indexOf(0, at);
  if (end < 0) throw new Error(`a '${typeOf(message)}' message without the end of its string`);
  return { text: message.toString('utf8', at, end), next: end + 1 };
}

/** A message from its type and its fields: strings get their terminating zero, buffers go in as they are. */
export function build(type, ...fields) {
  const body = Buffer.concat(fields.map((field) => (typeof field === 'string' ? Buffer.from(`${field}\0`) : field)));
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

export function int16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export const query = (sql) => build('Q', sql);
export const sync = () => build('S');
export const parse = (name, sql) => build('P', name, sql, int16(0));
export const closeStatement = (name) => build('C', Buffer.from('S'), name);

/** An ErrorResponse that the bridge itself has to give. */
export function fatal(code, text) {
  return build('E', 'SFATAL', 'VFATAL', `C${code}`, `M${text}`, Buffer.from([0]));
}

/** The first packet of a session, as a client sends it. */
export function startup(user, database) {
  const body = Buffer.concat([int32(196608), Buffer.from(`user\0${user}\0database\0${database}\0\0`)]);
  return Buffer.concat([int32(body.length + 4), body]);
}

/** The single messages of what the backend answered. */
export function* messagesIn(reply) {
  for (let at = 0; at < reply.length; ) {
    const end = at + 1 + reply.readInt32BE(at + 1);
    yield reply.subarray(at, end);
    at = end;
  }
}

/** Sums up a reply: does it hold an error, and which transaction status (I, T, E) does its ReadyForQuery tell, if any? */
export function summarise(reply) {
  let failed = false;
  let status;
  for (const message of messagesIn(reply)) {
    const type = typeOf(message);
    if (type === 'E') failed = true;
    if (type === 'Z') status = String.fromCharCode(message[5]);
  }
  return { failed, status };
}

export const without = (reply, type) => Buffer.concat([...messagesIn(reply)].filter((message) => typeOf(message) !== type));
