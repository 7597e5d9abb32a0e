// One connected client: its start-up, its requests in their turn, and what has to be put right when it leaves.
// A client owns the backend from the first message of a request until ReadyForQuery reports that no transaction is open.

import { BackendBroken, WaitedTooLong } from './backend.mjs';
import { CopyIn, REFUSAL, copyFormat } from './copy.mjs';
import * as protocol from './protocol.mjs';

const { build, int32, stringAt, summarise, typeOf } = protocol;

export class Client {
  #socket;
  #backend;
  #number;
  #cutter = new protocol.MessageCutter();
  /** The names of this client's prepared statements, each with its COPY format if it is one. */
  #statements = new Map();
  /** The portals that are bound to a COPY … FROM STDIN, with its format. */
  #copyPortals = new Map();
  #copy;
  /** Inside a request or a transaction: the backend may hold something of this client that is not finished. */
  #busy = false;
  /** After an error the backend ignores everything up to the next Sync. */
  #skipping = false;
  /** In a failed transaction, where every statement but its end is an error. */
  #aborted = false;

  constructor(socket, backend, number) {
    this.#socket = socket;
    this.#backend = backend;
    this.#number = number;
    // A reset is an ordinary end here; the loop over the socket sees it as well.
    socket.on('error', () => {});
    socket.setNoDelay(true);
  }

  toString() {
    return `client ${this.#number}`;
  }

  /** Serves the client until it leaves. Throws only if the backend itself broke. */
  async serve() {
    try {
      await this.#serveMessages();
    } catch (error) {
      if (error instanceof BackendBroken) throw error;
      this.#refuse(error);
    }
    await this.#leave();
  }

  async #serveMessages() {
    // Were the socket destroyed with the end of the loop, the last words to the client could be lost.
    for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
      for (const message of this.#cutter.push(chunk)) {
        if (!this.#cutter.started) {
          if (!this.#start(message)) return;
          continue;
        }
        if (typeOf(message) === 'X') return;
        await this.#backend.take(this);
        await this.#answer(message);
      }
    }
  }

  /** Ends a connection that cannot go on; one that is gone already needs no words. */
  #refuse(error) {
    if (this.#socket.destroyed) return;
    console.error(`${this}: ${error.message}`);
    const code = error instanceof WaitedTooLong ? '55P03' : '08P01';
    this.#socket.end(protocol.fatal(code, error.message));
  }

  /** Answers one packet of the start-up phase; false if the connection is over with it. */
  #start(packet) {
    const code = packet.length < 8 ? 0 : packet.readInt32BE(4);
    if (code === protocol.STARTUP.ssl || code === protocol.STARTUP.gss) {
      this.#socket.write('N');
      return true;
    }
    // There is nothing to cancel: the backend reads its next message only after it has answered the last.
    if (code === protocol.STARTUP.cancel) return false;
    if (code >> 16 !== 3) {
      this.#socket.end(protocol.fatal('08P01', 'the bridge speaks version 3 of the protocol only'));
      return false;
    }
    this.#cutter.started = true;
    const key = build('K', int32(this.#number), int32(0));
    const ready = build('Z', Buffer.from('I'));
    this.#socket.write(Buffer.concat([build('R', int32(0)), this.#backend.greeting, key, ready]));
    return true;
  }

  async #answer(message) {
    this.#busy = true;
    const reply = this.#copy ? await this.#continueCopy(message) : await this.#begin(message);
    if (this.#socket.writable) this.#socket.write(reply);
  }

  /** A message outside a COPY: run it, or start collecting rows. */
  async #begin(message) {
    switch (typeOf(message)) {
      case 'Q':
        return this.#simpleQuery(message);
      case 'P':
        return this.#parse(message);
      case 'B':
        return this.#bind(message);
      case 'E': {
        const format = this.#copyPortals.get(stringAt(message, 5).text);
        return format && this.#mayCopy() ? this.#startCopy(message, format) : this.#run(message);
      }
      case 'D':
      case 'C':
        return this.#describeOrClose(message);
      default:
        return this.#run(message);
    }
  }

  async #simpleQuery(message) {
    const format = this.#mayCopy() ? copyFormat(stringAt(message, 5).text) : undefined;
    if (format === 'refused') return this.#run(protocol.query(REFUSAL));
    return format ? this.#startCopy(message, format) : this.#run(message);
  }

  async #parse(message) {
    const name = stringAt(message, 5);
    const sql = stringAt(message, name.next);
    // The unnamed statement has a name at the backend, where only an unnamed one may be parsed anew without closing.
    if (name.text === '' && this.#statements.has('')) await this.#backend.run(protocol.closeStatement(this.#own('')));
    const reply = await this.#run(build('P', this.#own(name.text), message.subarray(name.next)));
    if (!this.#skipping) this.#statements.set(name.text, copyFormat(sql.text));
    return reply;
  }

  async #bind(message) {
    const portal = stringAt(message, 5);
    const statement = stringAt(message, portal.next);
    const format = this.#statements.get(statement.text);
    if (format) this.#copyPortals.set(portal.text, format);
    else this.#copyPortals.delete(portal.text);
    return this.#run(build('B', portal.text, this.#own(statement.text), message.subarray(statement.next)));
  }

  async #describeOrClose(message) {
    // Portals need no names of their own: none outlives its transaction, and so none meets another client's.
    if (String.fromCharCode(message[5]) !== 'S') return this.#run(message);
    const name = stringAt(message, 6).text;
    if (typeOf(message) === 'C' && !this.#skipping) this.#statements.delete(name);
    return this.#run(build(typeOf(message), Buffer.from('S'), this.#own(name)));
  }

  /** A statement's name at the backend, where all clients share one session. */
  #own(name) {
    return `c${this.#number}_${name}`;
  }

  /** Where the backend would not even begin a COPY, it may see the message as it is. */
  #mayCopy() {
    return !this.#skipping && !this.#aborted;
  }

  #startCopy(message, format) {
    this.#copy = new CopyIn(message, format);
    return this.#copy.response;
  }

  async #continueCopy(message) {
    const type = typeOf(message);
    // The protocol has Flush and Sync ignored during a COPY; clients send a Sync along with the Execute.
    if (type === 'H' || type === 'S') return Buffer.alloc(0);
    if ('dcf'.includes(type)) {
      this.#copy.add(message);
      return type === 'd' ? Buffer.alloc(0) : this.#finishCopy();
    }
    this.#copy.fail(`unexpected message of type '${type}' during COPY from stdin`);
    return Buffer.concat([await this.#finishCopy(), await this.#begin(message)]);
  }

  async #finishCopy() {
    const whole = this.#copy.whole();
    this.#copy = undefined;
    // The client has had its CopyInResponse, from the bridge.
    return protocol.without(await this.#run(whole), 'G');
  }

  /** Runs a message at the backend and gives that to the next client once the answer says that nothing is open. */
  async #run(message) {
    const reply = await this.#backend.run(message);
    const { failed, status } = summarise(reply);
    if (failed) this.#skipping = true;
    if (status) {
      this.#skipping = false;
      this.#aborted = status === 'E';
    }
    if (status === 'I') {
      this.#busy = false;
      this.#copyPortals.clear();
      this.#backend.release(this);
    }
    return reply;
  }

  /** What PostgreSQL does when a connection ends: undo what is unfinished, forget the prepared statements. */
  async #leave() {
    this.#socket.destroySoon();
    if (this.#busy) await this.#abandon();
    if (this.#statements.size > 0) await this.#forgetStatements();
  }

  async #forgetStatements() {
    try {
      await this.#backend.take(this);
    } catch (error) {
      // They stay, in nobody's way: no other client gets this one's number.
      if (error instanceof WaitedTooLong) return;
      throw error;
    }
    for (const name of this.#statements.keys()) await this.#backend.run(protocol.closeStatement(this.#own(name)));
    await this.#run(protocol.sync());
  }

  async #abandon() {
    // A Sync alone would commit a request that was cut off; an error before it has it rolled back.
    await this.#backend.run(protocol.parse('', 'the client is gone'));
    const { status } = summarise(await this.#run(protocol.sync()));
    if (status !== 'I') await this.#run(protocol.query('ROLLBACK'));
  }
}
