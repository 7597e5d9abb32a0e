// Runs the scenarios against a real server with a database of its own, which is removed whatever happens.
//
//   node e2e/run.js [ARGUMENT...]   runs Playwright with the arguments
//   node e2e/run.js --serve [--agents N]   only keeps the server running, for developing, and N made-up machines that
//                                   report to it; Ctrl-C ends it
//   node e2e/run.js --measure [N]   measures the fleet's page with N machines (default: 2000), see measure.js
//
// Environment: PIKA_TEST_DATABASE_URL, a superuser's URL of a database with TimescaleDB; PIKA_BIN_DIR, where pika-server
// is (default: cargo's debug build); PIKA_CHROMIUM (default: /usr/bin/chromium); PIKA_E2E_PORT, the server's port, 0: a free
// one (default: 18888 with --serve, else a free one).
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ended, freePort, ready, spawnServer } from './server.js';

const web = fileURLToPath(new URL('..', import.meta.url));
const repo = fileURLToPath(new URL('../../..', import.meta.url));
const ADMIN_PASSWORD = process.env.PIKA_ADMIN_PASSWORD ?? 'correct horse battery staple';
const DEV_PORT = 18888;
/** Machines that report while the scenarios run, and while it is measured. */
const AGENTS = 200;
const MEASURED_AGENTS = 2000;

/** @param {string} reason @returns {never} */
function die(reason) {
  console.error(`e2e: ${reason}`);
  process.exit(1);
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

/** Starts the made-up fleet, and waits until all of it has reported. @param {string} url @param {number} count */
async function startFleet(url, count) {
  const script = ['--experimental-websocket', '--no-warnings', 'e2e/agents.js', url, ADMIN_PASSWORD, String(count)];
  const fleet = spawn(process.execPath, script, { cwd: web, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(fleet);
  const isReady = new Promise((resolve) => fleet.stdout?.once('data', () => resolve(true)));
  if ((await Promise.race([isReady, ended(fleet)])) !== true) throw new Error('the made-up fleet did not come up');
}

async function main() {
  const options = process.argv.slice(2);
  const isServing = options[0] === '--serve';
  const isMeasuring = options[0] === '--measure';
  const agents = isMeasuring
    ? Number(options[1] ?? MEASURED_AGENTS)
    : isServing
      ? Number(options[1] === '--agents' ? options[2] : 0)
      : AGENTS;
  const port = Number(process.env.PIKA_E2E_PORT ?? (isServing ? DEV_PORT : 0)) || (await freePort());
  const url = `http://127.0.0.1:${port}`;
  await sql(`CREATE DATABASE ${name}`);
  const server = spawnServer({
    binaries,
    port,
    databaseUrl: databaseUrl.href,
    password: ADMIN_PASSWORD,
    isLogged: isServing,
  });
  children.push(server);
  await ready(url, server);
  if (agents > 0) await startFleet(url, agents);
  if (isServing) {
    console.log(`\n  ${url}   user admin, password ${ADMIN_PASSWORD}   (npm run dev: http://127.0.0.1:5173)\n`);
    return end(await ended(server));
  }
  const script = isMeasuring ? ['e2e/measure.js'] : ['node_modules/@playwright/test/cli.js', 'test', ...options];
  const playwright = spawn(process.execPath, script, {
    cwd: web,
    detached: true,
    stdio: 'inherit',
    env: {
      ...process.env,
      // Scenarios have machines of their own; Node.js 22 has WebSocket without being asked.
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --experimental-websocket --no-warnings`,
      // By default it lies in the folder for temporary files, for ever.
      PWTEST_CACHE_DIR: `${web}node_modules/.cache/playwright`,
      PIKA_E2E_URL: url,
      PIKA_E2E_PASSWORD: ADMIN_PASSWORD,
      PIKA_E2E_BIN_DIR: binaries,
      PIKA_E2E_DATABASE_URL: databaseUrl.href,
    },
  });
  children.push(playwright);
  return end(await ended(playwright));
}

main().catch(async (error) => {
  console.error(`e2e: ${error instanceof Error ? error.message : error}`);
  await end(1);
});
