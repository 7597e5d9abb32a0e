// Starts pika-server for scenarios, and waits for it.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const READY_WITHIN_MS = 120_000;

/** Resolves with the status when the program ends. @param {import('node:child_process').ChildProcess} child @returns {Promise<number>} */
export const ended = (child) =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode ?? 1);
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('error', () => resolve(1));
  });

/** @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const address = listener.address();
      listener.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(address)));
    });
  });
}

/**
 * @param {{ binaries: string, port: number, databaseUrl: string, password: string, isLogged?: boolean, environment?: NodeJS.ProcessEnv }} options
 * @returns {import('node:child_process').ChildProcess}
 */
export function spawnServer({ binaries, port, databaseUrl, password, isLogged = false, environment = {} }) {
  return spawn(`${binaries}/pika-server`, ['serve'], {
    cwd: web,
    detached: true,
    stdio: ['ignore', isLogged ? 'inherit' : 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: databaseUrl,
      PIKA_SERVER_ADDR: `127.0.0.1:${port}`,
      PIKA_ADMIN_PASSWORD: password,
      PIKA_LOG_LEVEL: isLogged ? 'info' : 'error',
      // Scenarios of all projects fail to log in from one address.
      PIKA_AUTH_FAILURES_PER_ADDRESS_MAX: '1000',
      // Scenarios of alerts wait for rules to be looked at, and have a receiver of messages on this machine.
      PIKA_ALERTING_EVALUATION_INTERVAL_MS: '1000',
      PIKA_ALERTING_ALLOWED_NETWORKS: '127.0.0.1/32',
      PIKA_ALERTING_SECRET_KEYS: randomBytes(32).toString('base64'),
      ...environment,
    },
  });
}

/** Whether it is, whoever signed its certificate. @param {string} url @returns {Promise<boolean>} */
function isReady(url) {
  if (!url.startsWith('https:')) {
    return fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
  return new Promise((resolve) => {
    get(`${url}/readyz`, { rejectUnauthorized: false, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).once('error', () => resolve(false));
  });
}

/** @param {string} url @param {import('node:child_process').ChildProcess} server */
export async function ready(url, server) {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline && server.exitCode === null) {
    if (await isReady(url)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the server did not become ready');
}
