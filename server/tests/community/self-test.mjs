// Checks the bridge the way a PostgreSQL driver would use it, with a client of its own that writes raw messages, so
// that the packets can be as awkward as real ones. Run it with `npm test`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MessageCutter, build, closeStatement, int16, int32, parse, query, startup, sync, typeOf } from './protocol.mjs';

const BRIDGE = fileURLToPath(new URL('bridge.mjs', import.meta.url));

async function startBridge(...args) {
  const child = spawn(process.execPath, [BRIDGE, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  return { child, ...JSON.parse(line) };
}

/** Ends the bridge as the end of a test process would. */
async function stopBridge({ child }) {
  const exit = once(child, 'exit');
  child.stdin.end();
  const [code] = await exit;
  assert.equal(code, 0);
}

class TestClient {
  #messages;

  static async open(port) {
    const client = new TestClient();
    client.socket = connect(port, '127.0.0.1');
    await once(client.socket, 'connect');
    client.#messages = client.#read();
    client.socket.write(startup('postgres', 'postgres'));
    client.greeting = await client.untilReady();
    return client;
  }

  async *#read() {
    const cutter = new MessageCutter();
    cutter.started = true;
    for await (const chunk of this.socket) yield* cutter.push(chunk);
  }

  /** The next messages up to one of the given type, written short: type and, where it says something, its text. */
  async until(type) {
    const seen = [];
    for (;;) {
      const { value: message, done } = await this.#messages.next();
      if (done) throw new Error(`the connection ended after ${seen}`);
      seen.push(short(message));
      if (typeOf(message) === type) return seen;
    }
  }

  untilReady() {
    return this.until('Z');
  }

  async request(...messages) {
    this.socket.write(Buffer.concat(messages));
    return this.untilReady();
  }

  sql(text) {
    return this.request(query(text));
  }

  async value(text) {
    const row = (await this.sql(text)).find((message) => message.startsWith('D'));
    return row?.slice(2);
  }

  async leave() {
    this.socket.end(build('X'));
    await once(this.socket, 'close');
  }
}

function short(message) {
  const type = typeOf(message);
  if (type === 'Z') return `Z ${String.fromCharCode(message[5])}`;
  if (type === 'C') return `C ${message.toString('utf8', 5, message.length - 1)}`;
  if (type === 'E') return `E ${/\0C(.{5})\0/.exec(message.toString('latin1', 5))[1]}`;
  // The first column is enough here.
  if (type === 'D') return `D ${message.toString('utf8', 11, 11 + Math.max(0, message.readInt32BE(7)))}`;
  if (type === 'S') return `S ${message.toString('utf8', 5).split('\0')[0]}`;
  return type;
}

const bind = (statement) => build('B', '', statement, int16(0), int16(0), int16(0));
const execute = () => build('E', '', int32(0));
const copyData = (text) => build('d', Buffer.from(text));
const copyDone = () => build('c');

const dataDir = mkdtempSync(join(tmpdir(), 'pika-bridge-test-'));
let bridge;
let one;
let two;

before(async () => {
  bridge = await startBridge('--data-dir', join(dataDir, 'main'));
  one = await TestClient.open(bridge.port);
  two = await TestClient.open(bridge.port);
});

after(async () => {
  // Without clients that have left: the bridge has to stop all the same.
  if (bridge) await stopBridge(bridge);
  rmSync(dataDir, { recursive: true, force: true });
});

test('a client is greeted like by a server', async () => {
  assert.equal(one.greeting[0], 'R');
  for (const name of ['server_version', 'client_encoding', 'standard_conforming_strings', 'integer_datetimes', 'TimeZone']) {
    assert.ok(one.greeting.includes(`S ${name}`), name);
  }
  assert.deepEqual(one.greeting.slice(-2), ['K', 'Z I']);
});

test('an SSLRequest is declined and the session goes on', async () => {
  const socket = connect(bridge.port, '127.0.0.1');
  socket.write(Buffer.concat([int32(8), int32(80877103)]));
  const [answer] = await once(socket, 'data');
  assert.equal(answer.toString(), 'N');
  socket.write(startup('postgres', 'postgres'));
  const [greeting] = await once(socket, 'data');
  assert.equal(typeOf(greeting), 'R');
  socket.destroy();
});

test('several requests in one packet, and one request in many packets', async () => {
  const packet = Buffer.concat([parse('p', 'SELECT 1'), sync(), closeStatement('p'), sync(), query('SELECT 2')]);
  one.socket.write(packet);
  assert.deepEqual(await one.untilReady(), ['1', 'Z I']);
  assert.deepEqual(await one.untilReady(), ['3', 'Z I']);
  assert.deepEqual(await one.untilReady(), ['T', 'D 2', 'C SELECT 1', 'Z I']);
  for (const byte of query('SELECT 3')) {
    one.socket.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.deepEqual(await one.untilReady(), ['T', 'D 3', 'C SELECT 1', 'Z I']);
});

test('after an error the rest of a request is skipped up to its Sync', async () => {
  const answer = await one.request(parse('bad', 'SELEC 1'), bind('bad'), execute(), sync());
  assert.deepEqual(answer, ['E 42601', 'Z I']);
  assert.equal(await one.value('SELECT 4'), '4');
});

test('a transaction keeps the others out until it ends', async () => {
  await one.sql('CREATE TABLE kept (a int)');
  assert.deepEqual(await one.sql('BEGIN'), ['C BEGIN', 'Z T']);
  let answered = false;
  const count = two.value('SELECT count(*) FROM kept').then((value) => ((answered = true), value));
  await one.sql('INSERT INTO kept VALUES (1)');
  assert.deepEqual(await one.sql('SELECT 1/0'), ['E 22012', 'Z E']);
  assert.equal(answered, false);
  await one.sql('ROLLBACK');
  assert.equal(await count, '0');
});

test('a client that breaks off has its transaction rolled back', async () => {
  await one.sql('CREATE TABLE broken_off (a int)');
  const lost = await TestClient.open(bridge.port);
  await lost.sql('BEGIN; INSERT INTO broken_off VALUES (1)');
  lost.socket.resetAndDestroy();
  assert.equal(await two.value('SELECT count(*) FROM broken_off'), '0');

  // Without a Sync its insert is not committed either.
  const cutOff = await TestClient.open(bridge.port);
  cutOff.socket.write(Buffer.concat([parse('', 'INSERT INTO broken_off VALUES (2)'), bind(''), execute(), build('H')]));
  await cutOff.until('C');
  cutOff.socket.resetAndDestroy();
  assert.equal(await two.value('SELECT count(*) FROM broken_off'), '0');
});

test("clients' statements of the same name, or of none, do not meet", async () => {
  for (const name of ['s0', '']) {
    assert.deepEqual(await one.request(parse(name, "SELECT 'one'"), sync()), ['1', 'Z I']);
    assert.deepEqual(await two.request(parse(name, "SELECT 'two'"), sync()), ['1', 'Z I']);
    assert.deepEqual(await one.request(bind(name), execute(), sync()), ['2', 'D one', 'C SELECT 1', 'Z I']);
    assert.deepEqual(await two.request(bind(name), execute(), sync()), ['2', 'D two', 'C SELECT 1', 'Z I']);
  }
  assert.deepEqual(await one.request(parse('', 'SELECT 5'), bind(''), execute(), sync()), ['1', '2', 'D 5', 'C SELECT 1', 'Z I']);
});

test('the statements of a client go when it leaves', async () => {
  const guest = await TestClient.open(bridge.port);
  await guest.request(parse('left', "SELECT 'left behind'"), sync());
  const count = "SELECT count(*) FROM pg_prepared_statements WHERE statement ~ 'left behind'";
  assert.equal(await one.value(count), '1');
  await guest.leave();
  assert.equal(await one.value(count), '0');
});

test('COPY FROM STDIN, as a query and as a prepared statement', async () => {
  await one.sql('CREATE TABLE copied (a int PRIMARY KEY)');
  one.socket.write(query('COPY copied FROM STDIN'));
  await one.until('G');
  assert.deepEqual(await one.request(copyData('1\n2'), copyData('\n3\n'), copyDone()), ['C COPY 3', 'Z I']);

  one.socket.write(Buffer.concat([parse('', 'copy copied (a) from stdin'), bind(''), execute(), sync()]));
  assert.deepEqual(await one.until('G'), ['1', '2', 'G']);
  assert.deepEqual(await one.request(copyData('4\n'), copyDone(), sync()), ['C COPY 1', 'Z I']);

  one.socket.write(query('COPY copied FROM STDIN'));
  await one.until('G');
  assert.deepEqual(await one.request(copyData('4\n'), copyDone()), ['E 23505', 'Z I']);
  one.socket.write(query('COPY copied FROM STDIN'));
  await one.until('G');
  assert.deepEqual(await one.request(copyData('5\n'), build('f', 'no more')), ['E 57014', 'Z I']);
  assert.equal(await two.value('SELECT count(*) FROM copied'), '4');
});

test('COPY FROM STDIN among other statements is an error, not the end', async () => {
  assert.deepEqual(await one.sql('BEGIN; COPY copied FROM STDIN; COMMIT'), ['E 0A000', 'Z I']);
  assert.equal(await one.value('SELECT 6'), '6');
});

test('when the last client has left, the session is as new', async () => {
  await one.sql('SET work_mem = 12345; CREATE TEMP TABLE passing (a int)');
  await Promise.all([one.leave(), two.leave()]);
  one = await TestClient.open(bridge.port);
  assert.equal(await one.value("SELECT current_setting('work_mem') = '12345kB' OR to_regclass('passing') IS NOT NULL"), 'f');
  assert.equal(await one.value('SHOW search_path'), '"$user", public');
});

test('a copy of a stopped data directory starts with its hypertables and policies', async () => {
  const template = join(dataDir, 'template');
  const first = await startBridge('--data-dir', template);
  const writer = await TestClient.open(first.port);
  await writer.sql(`
    CREATE EXTENSION timescaledb;
    CREATE TABLE metric (ts bigint NOT NULL, value double precision);
    SELECT create_hypertable('metric', by_range('ts', 1000::bigint));
    CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 10000::bigint';
    SELECT set_integer_now_func('metric', 'now_ms');
    SELECT add_retention_policy('metric', 5000::bigint)`);
  await stopBridge(first);

  const copy = await startBridge('--template', template);
  const reader = await TestClient.open(copy.port);
  assert.deepEqual(await reader.sql('INSERT INTO metric SELECT i, i FROM generate_series(0, 9999) AS i'), ['C INSERT 0 10000', 'Z I']);
  const job = await reader.value('SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = $$policy_retention$$');
  assert.deepEqual(await reader.sql(`CALL run_job(${job})`), ['C CALL', 'Z I']);
  assert.equal(await reader.value('SELECT min(ts) FROM metric'), '5000');
  assert.equal(await reader.value('SHOW timescaledb.license'), 'timescale');
  await stopBridge(copy);
});
