// What is done on a machine so that it joins. The token is in the environment or in a file that root alone reads, and in no
// list of processes.

export const KINDS = ['script', 'linux', 'systemd', 'docker', 'manual'] as const;
export type Kind = (typeof KINDS)[number];

/** In single quotes for a shell, where it needs them. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Downloads the script that installs an agent, compares it with its checksum, and runs it; it asks for the token. */
function install(address: string, token: string, scriptSum: string): string {
  // As the agent does: the key is trusted, and no authority.
  const pin = token.split('.')[1]?.replaceAll('_', '/').replaceAll('-', '+');
  const trust = pin ? ` -k --pinnedpubkey 'sha256//${pin}='` : '';
  return [
    `curl -fsS${trust} -o pika.sh ${quoted(`${address}/install/agent.sh`)} &&`,
    `  echo '${scriptSum}  pika.sh' | sha256sum -c &&`,
    `  PIKA_SERVER=${quoted(address)} sh pika.sh`,
  ].join('\n');
}

/** The commands for a shell; null for what is done by hand. `scriptSum` is of the script that the server offers. */
export function commands(kind: Kind, address: string, token: string, scriptSum = ''): string | null {
  switch (kind) {
    case 'script':
      return install(address, token, scriptSum);
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

/** Whether what is downloaded from an address is that of the server, so that it may be run. */
export const isTrusted = (address: string) => address.startsWith('https:') || isLoopback(address);

/** Whether other machines cannot reach an address. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^127\./.test(hostname) || hostname === '[::1]';
}

/** Whether a token carries the hash of the server's key, which agents then trust alone. */
export const isPinned = (token: string) => token.includes('.');
