#!/bin/sh
# Starts the agent, enrolling it the first time with PIKA_ENROLLMENT_TOKEN.
set -eu

state=/var/lib/pika-agent
if [ ! -e "$state/identity.json" ]; then
  : "${PIKA_AGENT_SERVER:?is the URL of the server}"
  : "${PIKA_ENROLLMENT_TOKEN:?is an enrollment token, which the server makes}"
  pika-agent enroll --server "$PIKA_AGENT_SERVER" --state-dir "$state"
fi
# No longer needed; keep it out of the running agent's environment.
unset PIKA_ENROLLMENT_TOKEN
exec pika-agent run --state-dir "$state" "$@"
