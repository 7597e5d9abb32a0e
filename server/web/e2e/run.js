// Runs the scenarios against a real server with a database of its own, which is removed whatever happens.
//
//   node e2e/run.js [ARGUMENT...]   runs Playwright with the arguments
//   node e2e/run.js --serve         only keeps the server running, for developing; Ctrl-C ends it
//
// Environment: PIKA_TEST_DATABASE_URL, a superuser's URL of a database with TimescaleDB; PIKA_BIN_DIR, where pika-server
// is (default: cargo's debug build); PIKA_CHROMIUM (default: /usr/bin/chromium); PIKA_E2E_PORT, the server's port, 0: a free
// one (default: 18888 with --serve, else a free one).
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const repo = fileURLToPath(new URL('../../..', import.meta.url));
const ADMIN_PASSWORD = process.env.PIKA_ADMIN_PASSWORD ?? 'correct horse battery staple';
const READY_WITHIN_MS = 120_000;
const DEV_PORT = 18888;

/** @param {string} reason @returns {never} */
function die(reason) {
  console.error(`e2e: ${reason}`);
  process.exit(1);
}

/** Ends with the program. @param {import('node:child_process').ChildProcess} child @returns {Promise<number>} */
const ended = (child) =>
  new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('error', () => resolve(1));
  });

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const address = listener.address();
      listener.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(address)));
    });
  });
}

const adminUrl = process.env.PIKA_TEST_DATABASE_URL ?? die('PIKA_TEST_DATABASE_URL is not set; ./test.sh provides it');
const binaries = process.env.PIKA_BIN_DIR ?? `${process.env.CARGO_TARGET_DIR ?? `${repo}/target`}/debug`;
if (!existsSync(`${binaries}/pika-server`)) die(`there is no ${binaries}/pika-server: cargo build --workspace`);

const name = `pika_e2e_${process.pid}_${randomBytes(4).toString('hex')}`;
const databaseUrl = new URL(adminUrl);
databaseUrl.pathname = `/${name}`;

/** In a group of its own: a Ctrl-C must not take psql away from what tidies up. @param {string} statement */
async function sql(statement) {
  const psql = spawn('psql', ['--no-psqlrc', '--quiet', '--command', statement, adminUrl], {
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  if ((await ended(psql)) !== 0) throw new Error(`psql failed: ${statement}`);
}

/** @type {import('node:child_process').ChildProcess[]} */
const children = [];
let isEnding = false;

/** @param {number} status */
async function end(status) {
  if (isEnding) return;
  isEnding = true;
  // The last started first: the browser before the server that it talks to.
  for (const child of children.reverse()) {
    if (child.exitCode === null) child.kill('SIGTERM');
    await ended(child);
  }
  await sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`).catch((error) => console.error(String(error)));
  process.exit(status);
}
for (const [signal, status] of /** @type {const} */ ([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])) {
  process.on(signal, () => void end(status));
}

/** @param {string} url @param {import('node:child_process').ChildProcess} server */
async function ready(url, server) {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline && server.exitCode === null) {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the server did not become ready');
}

async function main() {
  const options = process.argv.slice(2);
  const isServing = options[0] === '--serve';
  const port = Number(process.env.PIKA_E2E_PORT ?? (isServing ? DEV_PORT : 0)) || (await freePort());
  const url = `http://127.0.0.1:${port}`;
  await sql(`CREATE DATABASE ${name}`);
  const server = spawn(`${binaries}/pika-server`, ['serve'], {
    cwd: web,
    detached: true,
    stdio: ['ignore', isServing ? 'inherit' : 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: databaseUrl.href,
      PIKA_SERVER_ADDR: `127.0.0.1:${port}`,
      PIKA_ADMIN_PASSWORD: ADMIN_PASSWORD,
      PIKA_LOG_LEVEL: isServing ? 'info' : 'error',
      // Scenarios of all projects fail to log in from one address.
      PIKA_AUTH_FAILURES_PER_ADDRESS_MAX: '1000',
    },
  });
  children.push(server);
  await ready(url, server);
  if (isServing) {
    console.log(`\n  ${url}   user admin, password ${ADMIN_PASSWORD}   (npm run dev: http://127.0.0.1:5173)\n`);
    return end(await ended(server));
  }
  const playwright = spawn(process.execPath, ['node_modules/@playwright/test/cli.js', 'test', ...options], {
    cwd: web,
    detached: true,
    stdio: 'inherit',
    env: { ...process.env, PIKA_E2E_URL: url, PIKA_E2E_PASSWORD: ADMIN_PASSWORD, PIKA_E2E_BIN_DIR: binaries },
  });
  children.push(playwright);
  return end(await ended(playwright));
}

main().catch(async (error) => {
  console.error(`e2e: ${error instanceof Error ? error.message : error}`);
  await end(1);
});
