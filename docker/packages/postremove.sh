#!/bin/sh
# After the package is removed. Identity, unsent samples and user go only with `apt purge`; elsewhere by hand.
set -e

[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "${1:-}" = purge ]; then
  rm -rf /var/lib/pika-agent /etc/pika/agent.env
  rmdir /etc/pika 2>/dev/null || true
  userdel pika-agent 2>/dev/null || true
fi
