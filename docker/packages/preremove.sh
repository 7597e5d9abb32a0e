#!/bin/sh
# Before the package is removed: the service stops. At an upgrade it runs on, until the new version restarts it.
set -e

case ${1:-} in
  upgrade | failed-upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl --quiet disable --now pika-agent || true
elif command -v rc-service >/dev/null 2>&1 && [ -e /etc/init.d/pika-agent ]; then
  rc-service --quiet pika-agent stop || true
  rc-update --quiet del pika-agent default || true
fi
