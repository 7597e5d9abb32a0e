// What is done on a machine so that it joins. The token is in the environment or in a file that root alone reads, and in no
// list of processes.

export const KINDS = ['linux', 'systemd', 'docker', 'manual'] as const;
export type Kind = (typeof KINDS)[number];

/** In single quotes for a shell, where it needs them. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The commands for a shell; null for what is done by hand. */
export function commands(kind: Kind, address: string, token: string): string | null {
  switch (kind) {
    case 'linux':
      return [
        `PIKA_ENROLLMENT_TOKEN=${quoted(token)} \\`,
        `  pika-agent enroll --server ${quoted(address)}`,
        `pika-agent run --server ${quoted(address)}`,
      ].join('\n');
    case 'systemd':
      return [
        "install -D -m 0600 /dev/stdin /etc/pika/agent.env <<'END'",
        `PIKA_AGENT_SERVER=${address}`,
        `PIKA_ENROLLMENT_TOKEN=${token}`,
        'END',
        'systemctl daemon-reload',
        'systemctl enable --now pika-agent',
      ].join('\n');
    case 'docker':
      return [
        `export PIKA_AGENT_SERVER=${quoted(address)}`,
        `export PIKA_ENROLLMENT_TOKEN=${quoted(token)}`,
        'docker run --detach --name pika-agent --restart unless-stopped \\',
        '  --network host --pid host --read-only --cap-drop ALL \\',
        '  --security-opt no-new-privileges --volume pika-agent:/var/lib/pika-agent \\',
        '  --env PIKA_AGENT_SERVER --env PIKA_ENROLLMENT_TOKEN pika-agent',
      ].join('\n');
    case 'manual':
      return null;
  }
}

/** The address as the agent takes it: without a slash at its end; null where it is none. */
export function understandAddress(text: string): string | null {
  const trimmed = text.trim().replace(/\/+$/, '');
  // Beyond what a URL may be made of there is nothing to be quoted in files and shells.
  if (!/^https?:\/\/[\w.:/@%~[\]-]+$/.test(trimmed) || !URL.canParse(trimmed)) return null;
  const { username, password } = new URL(trimmed);
  return username || password ? null : trimmed;
}

/** Whether other machines cannot reach an address. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^127\./.test(hostname) || hostname === '[::1]';
}

/** Whether a token carries the hash of the server's key, which agents then trust alone. */
export const isPinned = (token: string) => token.includes('.');
