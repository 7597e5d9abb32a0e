// Machines on which `pika-agent` itself runs.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from './fixtures';

interface Machine {
  /** Follows the commands, as the page shows them. */
  run: (commands: string, name?: string) => ChildProcess;
}

/** A machine with an agent's program, a folder for its state, and nothing left of it afterwards. */
export const test = base.extend<{ machine: Machine }>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads the names from it
  machine: async ({}, use) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'pika-e2e-agent-'));
    const running: ChildProcess[] = [];
    await use({
      run: (commands, name = '') => {
        const env = {
          PATH: `${process.env['PIKA_E2E_BIN_DIR']}:${process.env['PATH']}`,
          PIKA_AGENT_STATE_DIR: stateDir,
          PIKA_AGENT_NAME: name,
          PIKA_AGENT_INTERVAL_MS: '1000',
        };
        const shell = spawn('sh', ['-ec', commands], { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
        running.push(shell);
        return shell;
      },
    });
    for (const shell of running) {
      if (shell.pid === undefined || shell.exitCode !== null || shell.signalCode !== null) continue;
      const ended = new Promise((resolve) => shell.once('exit', resolve));
      // The shell and the agent that it has started.
      process.kill(-shell.pid, 'SIGTERM');
      await ended;
    }
    await rm(stateDir, { recursive: true, force: true });
  },
});
