#!/bin/sh
# After installing or upgrading the package: the user, the state directory, and the service, which starts only on a
# machine that is enrolled or has what enrolling needs.
set -e

user=pika-agent state=/var/lib/pika-agent

if ! grep -q "^$user:" /etc/passwd; then
  if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers pika-agent.conf
  elif command -v useradd >/dev/null 2>&1; then
    useradd --system --user-group --no-create-home --home-dir "$state" --shell /usr/sbin/nologin "$user"
  else
    addgroup -S "$user"
    adduser -S -D -H -h "$state" -s /sbin/nologin -G "$user" "$user"
  fi
fi
# A link is that of an older unit with a dynamic user; systemd moves the directory back itself.
[ -e "$state" ] || mkdir -m 0700 "$state"
[ -h "$state" ] || chown "$user:$user" "$state"

if [ -e /usr/local/bin/pika-agent ]; then
  echo "pika-agent: /usr/local/bin/pika-agent is another installation; remove it with agent.sh --remove" >&2
fi

ready() { [ -e "$state/identity.json" ] || [ -e /etc/pika/agent.env ]; }

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl --quiet enable pika-agent
  ! ready || systemctl restart pika-agent
elif command -v rc-update >/dev/null 2>&1 && [ -e /etc/init.d/pika-agent ]; then
  rc-update --quiet add pika-agent default
  ! ready || rc-service --quiet pika-agent restart
fi
