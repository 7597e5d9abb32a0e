#!/usr/bin/env bash
# Checks the API description: it is valid, clients generated from it in several languages work against a running server,
# that server returns only what is described, and openapi/walk.sh covers every operation. Called by test.sh; to run it
# alone:
#
#   cargo build --workspace
#   PIKA_TEST_DATABASE_URL=postgres://… openapi/check.sh
#
# Environment: PIKA_TEST_DATABASE_URL, a superuser's URL of a database with TimescaleDB (another database is created
# there and dropped); CARGO_TARGET_DIR.
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../docker/lib.sh"
cd "$repo"

readonly target=${CARGO_TARGET_DIR:-$repo/target}
readonly programs=$target/debug clients=$repo/openapi/clients
readonly not_walked=(connectAgent createAgentEnrollment deleteAgent revokeAgentSecret)
readonly database=pika_test_$$_openapi
scratch='' server_pid='' agent_pid='' admin_url='' database_url=''

clean_up() {
  local status=$? pid
  set +e
  trap - EXIT
  trap '' INT TERM HUP PIPE
  for pid in $agent_pid $server_pid; do
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  [[ -z $database_url ]] || sql "DROP DATABASE IF EXISTS $database WITH (FORCE)"
  if [[ -n $scratch ]]; then
    rm -rf "$scratch"
  fi
  exit "$status"
}

sql() { psql -Xqd "$admin_url" -c "$1" >/dev/null 2>&1; }

# --- what the clients need ---------------------------------------------------

need_python() {
  need python3 python3
  local version
  version=$(python3 -c 'import platform; print(platform.python_version())')
  version_at_least "$version" 3.11 || die "Python 3.11 or newer is needed; this machine has $version"
  python3 -c 'import ensurepip, venv' 2>/dev/null && return 0
  apt_usable || die "Python's venv is missing" "Install it (Debian, Ubuntu: apt-get install python3-venv) and run this again."
  apt_install python3-venv
}

# A virtual environment with exactly requirements.txt; kept until that changes.
install_python_packages() {
  local requirements=$clients/python/requirements.txt
  readonly venv=$target/openapi-venv
  cmp -s "$requirements" "$venv/requirements.txt" && return 0
  say "Python packages"
  rm -rf "$venv"
  python3 -m venv "$venv"
  run_logged "$scratch/pip.log" "$venv/bin/pip" install --progress-bar off --disable-pip-version-check --requirement "$requirements" || {
    show_tail "$scratch/pip.log"
    die "the Python packages of $requirements could not be installed"
  }
  cp "$requirements" "$venv/requirements.txt"
}

install_node_packages() {
  local installed=$clients/typescript/node_modules/.package-lock.json
  [[ $installed -nt $clients/typescript/package-lock.json ]] && return 0
  say "npm ci (openapi/clients/typescript)"
  npm ci --prefix "$clients/typescript" --no-audit --no-fund --loglevel=error >&2
}

# --- a running Pika ----------------------------------------------------------

start_pika() {
  local port token
  port=$(free_port)
  export PIKA_URL=http://127.0.0.1:$port PIKA_USERNAME=admin PIKA_PASSWORD
  PIKA_PASSWORD=$(random_hex 16)
  sql "CREATE DATABASE $database" || die "the database $database could not be created"
  # The fourth failed login is refused, and concurrent logins do not block one another.
  env -i PATH="$PATH" DATABASE_URL="$database_url" PIKA_SERVER_ADDR="127.0.0.1:$port" \
    PIKA_ADMIN_PASSWORD="$PIKA_PASSWORD" PIKA_INGEST_FLUSH_INTERVAL_MS=100 \
    PIKA_AUTH_FAILURES_PER_ACCOUNT_AND_ADDRESS_MAX=3 PIKA_AUTH_FAILURES_PER_ADDRESS_MAX=1000 \
    "$programs/pika-server" 2>"$scratch/server.log" &
  server_pid=$!
  wait_for "the server" "$programs/pika-server" healthcheck --url "$PIKA_URL"
  token=$(DATABASE_URL=$database_url "$programs/pika-server" enrollment create --name check)
  PIKA_ENROLLMENT_TOKEN=$token "$programs/pika-agent" enroll --server "$PIKA_URL" --state-dir "$scratch/agent" \
    >"$scratch/agent.log" 2>&1 || die "the agent could not be enrolled" "$(<"$scratch/agent.log")"
  PIKA_AGENT_INTERVAL_MS=1000 "$programs/pika-agent" run --server "$PIKA_URL" --state-dir "$scratch/agent" \
    >>"$scratch/agent.log" 2>&1 &
  agent_pid=$!
  # The second sample: the first has no rates.
  wait_for "samples of the agent" has_samples
}

wait_for() { # WHAT COMMAND...
  local what=$1
  shift
  for _ in {1..300}; do
    "$@" >/dev/null 2>&1 && return 0
    [[ -d /proc/$server_pid ]] || {
      show_tail "$scratch/server.log"
      die "the server has ended"
    }
    sleep 0.1
  done
  die "timed out after 30 s waiting for $what"
}

has_samples() { [[ $(psql -XqAtd "$database_url" -c 'SELECT count(*) > 1 FROM cpu_metrics') == t ]]; }

# --- the checks --------------------------------------------------------------

check() { # NAME COMMAND...
  local name=$1 began=$EPOCHREALTIME
  shift
  say "$name"
  ("$@") >"$scratch/check.log" 2>&1 || {
    tail -n 60 "$scratch/check.log" | sed 's/^/    | /' >&2
    grep -E ' (WARN|ERROR) ' "$scratch/server.log" | tail -n 5 | sed 's/^/    server | /' >&2 || true
    die "failed: $name"
  }
  note "$(((${EPOCHREALTIME/./} - ${began/./}) / 1000)) ms"
}

# The schema accepts the frames that agent and server write, and rejects others.
golden_frames() {
  "$venv/bin/python" - openapi/agent-protocol.schema.json agent/protocol/tests/golden/*.json <<'PYTHON'
import json, pathlib, sys
from jsonschema import Draft202012Validator
schema, *frames = [json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]]
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
frames = [frame for frame in frames if "type" in frame]
for frame in frames:
    validator.validate(frame)
assert len(frames) > 10 and not validator.is_valid({"type": "run", "data": {"command": "id"}})
print(f"{len(frames)} frames")
PYTHON
}

typescript_client() {
  cd "$clients/typescript"
  rm -rf generated build
  npm run --silent generate && npm run --silent build && npm run --silent start
}

# Every operation is called, except those for agents only and those that would remove one.
walk() {
  local unwalked
  unwalked=$(comm -3 <(jq -r '.paths[][].operationId' openapi/openapi.json | sort) \
    <({ grep -oP '^ *call \d+ \K\w+' openapi/walk.sh; printf '%s\n' "${not_walked[@]}"; } | sort -u))
  [[ -z $unwalked ]] || die "openapi/walk.sh and openapi.json differ in:" "$unwalked"
  openapi/walk.sh
}

python_client() {
  cd "$clients/python"
  # Remove what was generated from an earlier description.
  rm -rf pika_client
  "$venv/bin/openapi-python-client" generate --path "$repo/openapi/openapi.json" --meta none \
    --output-path pika_client --overwrite --fail-on-warning &&
    "$venv/bin/mypy" --cache-dir /dev/null example.py &&
    "$venv/bin/python" example.py
}

# A separate administrator, since the generated requests may lock it out.
fuzz_as_administrator() {
  local token
  token=$(login fuzzing)
  fuzz --header "Authorization: Bearer $token"
}

# Excludes logging out, which would end the session, and the WebSocket and the event stream, which do not end by
# themselves. One worker, because the generator is not thread-safe: with two, one occasionally fails with a KeyError.
fuzz() { # [OPTION...]
  (cd "$scratch" && "$venv/bin/st" --config-file "$repo/openapi/schemathesis.toml" run "$repo/openapi/openapi.json" \
    --url "$PIKA_URL" --no-color --warnings off --workers 1 \
    --exclude-operation-id logout --exclude-operation-id connectAgent --exclude-operation-id followEvents "$@")
}

# An administrator `fuzzing`, who sends the requests, and a user `fuzzed`, who is changed by them.
prepare_fuzzing() {
  local name
  for name in fuzzing fuzzed; do
    DATABASE_URL=$database_url "$programs/pika-server" user create "$name" --role admin --password-stdin \
      <<<"$PIKA_PASSWORD" >"$scratch/user.log" 2>&1 || die "the user $name could not be created" "$(<"$scratch/user.log")"
  done
  PIKA_AGENT_ID=$(psql -XqAtd "$database_url" -c 'SELECT id FROM agents')
  PIKA_USER_ID=$(psql -XqAtd "$database_url" -c "SELECT id FROM users WHERE username = 'fuzzed'")
  export PIKA_AGENT_ID PIKA_USER_ID
}

login() { # USERNAME; prints the session's token
  printf '{"username": "%s", "password": "%s"}' "$1" "$PIKA_PASSWORD" |
    curl --fail --silent --show-error --header 'Content-Type: application/json' --data-binary @- "$PIKA_URL/api/login" |
    jq -r .token
}

main() {
  require_linux
  [[ -n ${PIKA_TEST_DATABASE_URL:-} ]] || die "PIKA_TEST_DATABASE_URL is not set: run ./test.sh, which starts a database"
  [[ -x $programs/pika-server && -x $programs/pika-agent && -x $programs/pika-client-example ]] || die "run cargo build --workspace first"
  need curl curl ca-certificates
  need jq jq
  need psql postgresql-client
  need node nodejs
  need npm npm
  need_python
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/pika-openapi.XXXXXX")
  admin_url=$PIKA_TEST_DATABASE_URL
  database_url=$(sed -E "s|^([a-z]+://[^/]+/)[^?]*|\1$database|" <<<"$admin_url")
  install_python_packages
  # Its post-processing runs ruff.
  export PATH=$venv/bin:$PATH
  install_node_packages

  check "openapi.json: validator" "$venv/bin/openapi-spec-validator" openapi/openapi.json
  check "agent-protocol.schema.json: golden frames" golden_frames
  start_pika
  check "client: TypeScript" typescript_client
  check "client: Python" python_client
  check "client: Rust" "$programs/pika-client-example"
  check "openapi/walk.sh" walk
  prepare_fuzzing
  check "generated requests, as nobody" fuzz
  check "generated requests, as an administrator" fuzz_as_administrator
  say "the API description is correct"
}

main "$@"
