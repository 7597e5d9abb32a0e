// Made-up machines that report through the agents' own WebSocket.
//
//   node --experimental-websocket e2e/agents.js URL ADMIN_PASSWORD COUNT
//
// enrolls them, gives them tags, says "ready" when all have reported, and goes on until it is ended. Some of them go
// offline at once; some are short of processor time or of disk.
import { fileURLToPath } from 'node:url';

const INTERVAL_MS = 5000;
/** Connections that are opened at a time. */
const AT_ONCE = 24;
/** Every so many machines one stays away after its first sample. */
const OFFLINE_EVERY = 25;

const ROLES = ['web', 'db', 'cache', 'edge', 'queue'];
const PLACES = ['eu', 'us', 'ap'];
const GIB = 1024 ** 3;
const FACTS = {
  osName: 'Debian GNU/Linux 13',
  kernel: '6.12.41+deb13-amd64',
  cpuModel: 'AMD EPYC 9354',
  cpuCount: 8,
  memoryBytes: 16 * GIB,
  bootedAt: Date.now() - 12 * 86_400_000,
  virtualization: 'kvm',
};

/** @typedef {{ cpu: number, memory: number, disk: number, received: number, sent: number, load: number }} Values */

/** An agent with one connection, which is opened and closed as a scenario says. */
export class MadeUpAgent {
  /** @param {string} url of the server @param {string} name @param {string} ip @param {number} [intervalMs] */
  constructor(url, name, ip, intervalMs = INTERVAL_MS) {
    this.url = `${url.replace(/^http/, 'ws')}/ws/agent`;
    this.name = name;
    this.ip = ip;
    this.intervalMs = intervalMs;
    this.id = '';
    this.secret = '';
    /** @type {WebSocket | null} */
    this.socket = null;
  }

  /** Registers, the first time with an enrollment token. @param {string} [token] */
  async connect(token) {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`${this.name} cannot connect`));
    });
    const answer = new Promise((resolve, reject) => {
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(String(data));
        if (message.type === 'register_ack') resolve(message.data);
        if (message.type === 'register_error') reject(new Error(`${this.name}: ${String(data)}`));
      };
      socket.onclose = () => reject(new Error(`${this.name} was hung up on`));
    });
    this.send('register', {
      name: this.name,
      hostname: `${this.name}.example.org`,
      ip: this.ip,
      os: 'linux',
      arch: 'amd64',
      version: '0.1.0',
      token: token ?? this.secret,
      intervalMs: this.intervalMs,
      facts: FACTS,
    });
    const { agentId, secret } = await answer;
    this.id = agentId;
    if (secret) this.secret = secret;
  }

  /** @param {Values} values */
  report({ cpu, memory, disk, received, sent, load }) {
    const bytes = (/** @type {number} */ rate) => Math.round((rate * INTERVAL_MS) / 1000);
    const used = (/** @type {number} */ total, /** @type {number} */ percent) => Math.round((total * percent) / 100);
    this.send('batch', {
      samples: [
        {
          timestamp: Date.now(),
          cpu: { usagePercent: cpu, coreCount: 8 },
          memory: {
            total: 16 * GIB,
            used: used(16 * GIB, memory),
            free: 16 * GIB - used(16 * GIB, memory),
            usagePercent: memory,
          },
          disks: [
            {
              mountPoint: '/',
              device: '/dev/vda1',
              fstype: 'ext4',
              total: 100 * GIB,
              used: used(100 * GIB, disk),
              free: 100 * GIB - used(100 * GIB, disk),
              usagePercent: disk,
            },
          ],
          networks: [
            {
              interface: 'eth0',
              bytesRecvTotal: bytes(received) * 100,
              bytesSentTotal: bytes(sent) * 100,
              bytesRecvDelta: bytes(received),
              bytesSentDelta: bytes(sent),
              intervalMs: INTERVAL_MS,
            },
          ],
          load: { load1: load, load5: load, load15: load },
        },
      ],
    });
  }

  /** Sends frames and waits until all of them are committed. @param {readonly { type: string, data: unknown }[]} frames */
  async deliver(frames) {
    const { socket } = this;
    if (!socket || frames.length === 0) return;
    const delivered = new Promise((resolve, reject) => {
      let acknowledged = 0;
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(String(data));
        if (message.type === 'ack' && ++acknowledged === frames.length) resolve(undefined);
        // A history comes faster than a machine's samples do; it is read more slowly then.
        if (message.type === 'error' && message.data.code !== 'too_fast') reject(new Error(String(data)));
      };
      socket.onclose = () => reject(new Error(`${this.name} was hung up on`));
    });
    const first = Date.now() * 1000;
    for (const [i, { type, data }] of frames.entries()) this.send(type, data, first + i);
    await delivered;
  }

  /** @param {string} type @param {unknown} data @param {number} [seq] asks for it to be acknowledged */
  send(type, data, seq) {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type, timestamp: Date.now(), data, seq }));
    }
  }

  close() {
    if (!this.socket) return;
    this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }
}

/** The API with the administrator's login. @param {string} url @param {string} password */
async function logIn(url, password) {
  const login = await fetch(`${url}/api/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password }),
  });
  const { token } = await login.json();
  /** @param {string} method @param {string} path @param {unknown} body */
  return async (method, path, body) => {
    const answer = await fetch(url + path, {
      method,
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
}

/** Its tags; one machine in seven has none. @param {number} i */
const tagsOf = (i) => (i % 7 === 6 ? [] : [i % 4 === 3 ? 'stage' : 'prod', PLACES[i % PLACES.length] ?? '']);

/** A plausible day of machine `i`, cut short to minutes. @param {number} i @param {number} at @returns {Values} */
function valuesOf(i, at) {
  const wave = Math.sin(at / 60_000 + i * 1.7) * 0.5 + 0.5;
  const noise = Math.abs(Math.sin(at * 0.001 * (1 + (i % 5)) + i * 12.9));
  const isBusy = i % 40 === 11;
  const cpu = isBusy ? 93 + 6 * noise : Math.min(78, 4 + (i % 9) * 4 + wave * 24 + noise * 8);
  const traffic = 20_000 * (1 + (i % 11) ** 3) * (0.4 + wave);
  return {
    cpu,
    memory: Math.min(79, 25 + (i % 12) * 4 + wave * 6),
    disk: i % 50 === 7 ? 86 : 20 + ((i * 7) % 55),
    received: traffic,
    sent: traffic * 0.35,
    load: (cpu / 100) * 8,
  };
}

/** @template T @param {T[]} items @param {(item: T, i: number) => Promise<void>} work */
async function each(items, work) {
  const queue = items.entries();
  const worker = async () => {
    for (const [i, item] of queue) await work(item, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** @param {string} url @param {string} password @param {number} count */
async function run(url, password, count) {
  const api = await logIn(url, password);
  const expiresAt = Date.now() + 3_600_000;
  const { token } = await api('POST', '/api/enrollments', { name: 'made-up fleet', expiresAt, maxUses: count });
  const agents = Array.from({ length: count }, (_, i) => {
    const number = String(Math.floor(i / ROLES.length) + 1).padStart(3, '0');
    return new MadeUpAgent(url, `${ROLES[i % ROLES.length]}-${number}`, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  });
  await each(agents, async (agent, i) => {
    await agent.connect(token);
    await api('PUT', `/api/agents/${agent.id}`, { name: agent.name, tags: tagsOf(i), note: '' });
    agent.report(valuesOf(i, Date.now()));
  });
  await each(agents, async (agent, i) => {
    const isAway = i % OFFLINE_EVERY === OFFLINE_EVERY - 1;
    const again = async () => {
      agent.close();
      await agent.connect().catch(() => undefined);
    };
    if (isAway) {
      // What it has said is to be stored first.
      setTimeout(() => agent.close(), 2000);
      return;
    }
    const report = () => {
      if (agent.socket?.readyState === WebSocket.OPEN) agent.report(valuesOf(i, Date.now()));
      else void again();
    };
    // Spread over the interval, as real ones are.
    setTimeout(() => setInterval(report, INTERVAL_MS), (i / count) * INTERVAL_MS);
  });
  console.log('ready');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url = '', password = '', count = '100'] = process.argv.slice(2);
  await run(url, password, Number(count));
}
