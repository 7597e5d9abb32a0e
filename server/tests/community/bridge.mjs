// A PostgreSQL server with the Community edition of TimescaleDB for Pika's tests: PGlite (PostgreSQL in WebAssembly)
// behind a TCP port of 127.0.0.1, no container needed. This file is the command line and the life of the process.
//
//   node bridge.mjs [--data-dir DIR] [--template DIR] [--port N]
//
// When it is ready it prints one line on stdout: {"port":N,"url":"postgres://…"}. It stops, gracefully, upon SIGTERM or
// when its stdin ends, so that it goes when the test process that started it is gone. (`</dev/null` ends at once.)
//   --data-dir  where the database lives; made if it is empty or missing. Without it: a temporary directory, removed at the end.
//   --template  a data directory to begin with a copy of; its own bridge must have stopped. The fast way to many databases:
//               migrate once into a --data-dir, stop, then start each test's bridge with that directory as --template.
//
// Many clients may connect, but there is one backend session for all of them; a client has it for a request or for a
// whole transaction while the others wait (backend.mjs, client.mjs). What follows from that, and from PGlite:
//   - A test that inside a transaction waits for another connection waits for itself: after 60 s that one gets an error.
//   - SET, temporary tables, LISTEN and session-level advisory locks are shared: an advisory lock keeps nobody out.
//     All of it is reset once no client is connected. Don't send DISCARD ALL, RESET ALL or DEALLOCATE ALL.
//   - Settings in a connection's `options` are accepted and ignored, and so are user, password and database name.
//   - COPY … FROM STDIN works as a statement of its own; its errors come after the last row (copy.mjs).
//   - No background workers: a policy runs only by `CALL run_job(id)`. CREATE INDEX CONCURRENTLY fails. One database.
//   - No cancelling and no statement_timeout: a statement without end blocks all of this process, so that only SIGKILL
//     stops it. Whoever starts the bridge should kill it when stdin's end is not enough.
// It starts in about 2 s with a new database, in 0.7 s with a template, and takes 0.5 GB of memory.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Backend } from './backend.mjs';
import { Client } from './client.mjs';

const HOST = '127.0.0.1';

const { values: options } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    template: { type: 'string' },
    port: { type: 'string', default: '0' },
  },
});

const dataDir = options['data-dir'] ?? mkdtempSync(join(tmpdir(), 'pika-community-'));
mkdirSync(dataDir, { recursive: true });
if (options.template) copyTemplate(options.template, dataDir);

const backend = await Backend.open(dataDir);
const clients = new Map();
const server = createServer(accept);
server.listen(Number(options.port), HOST, announce);
let stopping = false;

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.stdin.on('end', stop).on('error', stop).resume();

function copyTemplate(from, to) {
  if (!existsSync(join(from, 'PG_VERSION'))) throw new Error(`${from} is not a data directory`);
  if (readdirSync(to).length > 0) throw new Error(`${to} is not empty: a template is copied into a new directory only`);
  cpSync(from, to, { recursive: true });
}

function announce() {
  const { port } = server.address();
  console.log(JSON.stringify({ port, url: `postgres://postgres:pika@${HOST}:${port}/postgres?sslmode=disable` }));
}

let lastNumber = 0;

function accept(socket) {
  const client = new Client(socket, backend, ++lastNumber);
  const served = client.serve().then(() => forget(socket), broken);
  clients.set(socket, served);
}

/** A client is done; the last one leaves the session as it would find it. */
async function forget(socket) {
  clients.delete(socket);
  if (clients.size === 0 && !stopping) await backend.reset().catch(broken);
}

/** Nothing can be put right without the backend; the clients see their connections break. */
function broken(error) {
  console.error('the backend broke:', error);
  process.exit(1);
}

async function stop() {
  if (stopping) return;
  stopping = true;
  server.close();
  const served = [...clients.values()];
  for (const socket of clients.keys()) socket.destroy();
  await Promise.all(served);
  await backend.close();
  if (!options['data-dir']) rmSync(dataDir, { recursive: true, force: true });
  process.exit(0);
}
