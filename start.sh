#!/usr/bin/env bash
# From a fresh machine to a running Pika: builds it, starts a database, the server and
# an agent for this machine, and looks after them until Ctrl-C.
#
#   ./start.sh [--port N] [--config FILE]
#   ./start.sh --database-only     starts just the database, prints its URL and returns
#   ./start.sh --stop              stops whatever an earlier start.sh left running
#   ./start.sh --help
#
#   --port N         the server's port (default 18888)
#   --config FILE    the server's configuration file
#
# The database is the first of these that there is:
#   1. DATABASE_URL, or database.url in the configuration;
#   2. the service `database` of docker/compose.yaml, where Docker with compose works;
#   3. a private PostgreSQL, see docker/database/cluster.sh.
# Environment: DATABASE_URL; PIKA_DATABASE_PORT (default 15432) for 2 and 3;
# PIKA_ADMIN_PASSWORD for the first start (default: a random one, which is shown);
# PIKA_STATE_DIR (default .pika) for data, logs and secrets; PIKA_BIN_DIR, a directory
# with pika-server and pika-agent to use instead of building them. The server and the
# agent also read their own PIKA_... variables.
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/docker/lib.sh"

readonly quick_death=30 deaths_allowed=5
readonly cluster=$repo/docker/database/cluster.sh
state=${PIKA_STATE_DIR:-$repo/.pika}
# Secrets are for the server alone, not for every program that we start.
database_url=${PIKA_DATABASE_URL:-${DATABASE_URL:-}} admin_password=${PIKA_ADMIN_PASSWORD:-}
unset PIKA_DATABASE_URL DATABASE_URL PIKA_ADMIN_PASSWORD
database_port=${PIKA_DATABASE_PORT:-15432}
port=18888
action=run config=${PIKA_CONFIG:-} bin=''

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

usage_error() {
  printf 'start.sh: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

valid_port() { [[ $1 =~ ^[0-9]{1,5}$ && $((10#$1)) -ge 1 && $((10#$1)) -le 65535 ]]; }

main() {
  while (($#)); do
    case $1 in
      --database-only) action=database_only ;;
      --stop) action=stop ;;
      --port | --config)
        (($# > 1)) || usage_error "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) usage_error "unknown option: $1" ;;
    esac
    shift
  done
  valid_port "$port" || usage_error "--port needs a number from 1 to 65535, not $port"
  valid_port "$database_port" || usage_error "PIKA_DATABASE_PORT needs a number from 1 to 65535, not $database_port"
  port=$((10#$port)) database_port=$((10#$database_port))
  if [[ -n $config ]]; then
    [[ -r $config ]] || usage_error "cannot read $config"
    PIKA_CONFIG=$(realpath "$config")
    export PIKA_CONFIG
  fi
  require_linux
  mkdir -p "$state"
  state=$(cd "$state" && pwd -P)
  "$action"
}

run() {
  exec 9>>"$state/lock"
  flock -n 9 || die "another start.sh runs with $state (process $(<"$state/lock"))" \
    "Stop that one (./start.sh --stop), or set PIKA_STATE_DIR for a second Pika."
  echo $$ >"$state/lock"
  trap clean_up EXIT
  trap 'stopped_by INT' INT
  trap 'stopped_by TERM' TERM
  trap 'stopped_by HUP' HUP

  stop_leftovers
  port_taken "$port" && die "port $port is taken by another program" "Stop that program, or choose another one: ./start.sh --port N"
  need curl curl ca-certificates
  build
  find_database
  start_database
  if [[ -n $admin_password && ! -s $state/admin-password ]]; then
    (umask 077 && printf %s "$admin_password" >"$state/admin-password")
  fi
  secret_file "$state/admin-password" 12 >/dev/null
  start_server
  start_agent
  wait_for_samples
  summary
  supervise
}

database_only() {
  find_database
  trap clean_up EXIT
  trap 'stopped_by INT' INT
  trap 'stopped_by TERM' TERM
  start_database
  printf '%s\n' "$database_url"
}

# --- ending ------------------------------------------------------------------

stopped_by() {
  # Without a terminal any more (HUP) nothing can be said, but much is to be done.
  say "stopping ($1)" || true
  exit 0
}

current='' server_pid='' agent_pid='' database='' database_pid='' database_mine=''
clean_up() {
  local status=$?
  set +e
  trap - EXIT
  # A second Ctrl-C would only leave things half stopped; every step has a deadline.
  trap '' INT TERM HUP PIPE
  [[ -z $current ]] || end_group "$current"
  rm -f "$state/database.url"
  stop_process agent "$agent_pid" 10
  stop_process server "$server_pid" 30
  [[ -z $database_mine ]] || stop_database
  [[ -z $server_pid ]] || say "Pika is stopped; its data and logs stay in $state"
  exit "$status"
}

# Ends what run_step has started, with its children.
end_group() { # PID
  kill -TERM -- "-$1" 2>/dev/null
  for _ in {1..100}; do
    kill -0 -- "-$1" 2>/dev/null || return
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null
}

stop_process() { # NAME PID SECONDS
  rm -f "$state/$1.pid"
  if [[ -z $2 ]] || ! kill -0 "$2" 2>/dev/null; then return 0; fi
  say "stopping the $1"
  kill -TERM "$2" 2>/dev/null
  local deadline=$((SECONDS + $3))
  while kill -0 "$2" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      note "it did not end within $3 s; killing it"
      kill -KILL "$2" 2>/dev/null
      break
    fi
    sleep 0.1
  done
}

# A start.sh that was killed leaves its children behind: they have sessions of their own.
stop_leftovers() {
  local name pid
  for name in agent server; do
    pid=$(cat "$state/$name.pid" 2>/dev/null) || continue
    # The number may be another program's by now.
    if [[ -n $pid ]] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "/pika-$name "; then
      say "an earlier start.sh left its $name behind"
      stop_process "$name" "$pid" 30
    fi
    rm -f "$state/$name.pid"
  done
}

stop() {
  local pid
  exec 9>>"$state/lock"
  if ! flock -n 9; then
    pid=$(<"$state/lock")
    say "stopping the start.sh that runs (process $pid)"
    kill -TERM "$pid" 2>/dev/null || true
    flock -w 150 9 || die "process $pid did not stop within 150 s"
  fi
  stop_leftovers
  if [[ -d $state/database ]]; then
    database=cluster
    stop_database
  fi
  if [[ -f $state/compose-password ]] && compose_works; then
    database=compose
    stop_database
  fi
  say "nothing of Pika runs any more; data and logs stay in $state"
}

# --- waiting -----------------------------------------------------------------

# Signals are handled between commands, so nothing that takes long runs in the
# foreground: it runs in a session of its own and we wait.
run_step() { # COMMAND...
  local status=0
  setsid "$@" </dev/null 9>&- &
  current=$!
  wait "$current" || status=$?
  current=
  return $status
}

pause() { # SECONDS
  sleep "$1" 9>&- &
  wait $!
}

# Repeats COMMAND until it succeeds; false after SECONDS or when process PID is gone.
wait_until() { # SECONDS PID WHAT COMMAND...
  local deadline=$((SECONDS + $1)) pid=$2 what=$3 told=$SECONDS
  shift 3
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || return 1
    ((SECONDS < deadline)) || return 1
    ((SECONDS - told < 5)) || {
      told=$SECONDS
      note "still waiting for $what"
    }
    pause 0.3
  done
}

# --- building ----------------------------------------------------------------

build() {
  if [[ -n ${PIKA_BIN_DIR:-} ]]; then
    bin=$(cd "$PIKA_BIN_DIR" && pwd) || die "PIKA_BIN_DIR is no directory: $PIKA_BIN_DIR"
  else
    need_rust
    need_c_compiler
    say "building Pika (some minutes the first time)"
    run_step cargo build --release --manifest-path "$repo/Cargo.toml" -p pika-server -p pika-agent ||
      die "the build failed (its messages are above)"
    bin=${CARGO_TARGET_DIR:-$repo/target}/release
  fi
  [[ -x $bin/pika-server && -x $bin/pika-agent ]] || die "$bin has no pika-server and pika-agent"
}

# --- the database ------------------------------------------------------------

find_database() {
  if [[ -z $database_url ]]; then
    local file
    for file in "$config" /etc/pika/server.yaml; do
      [[ -n $database_url || -z $file || ! -r $file ]] || database_url=$(configured_url "$file")
    done
  fi
  if [[ -n $database_url ]]; then
    database=external
  elif compose_works; then
    database=compose
  else
    database=cluster
  fi
}

# database.url of a configuration file.
configured_url() { # FILE
  sed -n '/^database:/,/^[^ #]/s/^  *url: *["'\'']\{0,1\}\([^"'\'' ]*\).*/\1/p' "$1" | head -n 1
}

compose_works() {
  have docker && docker compose version >/dev/null 2>&1 && timeout 10 docker info >/dev/null 2>&1
}

with_compose() { # COMMAND...
  PIKA_DATABASE_PASSWORD=$(secret_file "$state/compose-password" 24) PIKA_DATABASE_PORT=$database_port \
    "$@"
}
readonly docker_compose=(docker compose --project-name pika --file "$repo/docker/compose.yaml")

start_database() {
  case $database in
    external) say "using the database of DATABASE_URL or of the configuration" ;;
    compose) start_compose ;;
    cluster) start_cluster ;;
  esac
}

# `database_mine`: start.sh stops only a database that a start.sh has started, this one
# or one that was killed. The mark in the file system remembers that.
mark_database() { # COMMAND... that succeeds if it runs already
  local mark=$state/database-started
  if [[ $action == database_only ]]; then
    rm -f "$mark"
    return 0
  fi
  if ! "$@" >/dev/null 2>&1; then : >"$mark"; fi
  [[ ! -e $mark ]] || database_mine=1
}

compose_runs() {
  [[ -n $(with_compose "${docker_compose[@]}" ps --status running --quiet database) ]]
}

start_compose() {
  mark_database compose_runs
  say "starting PostgreSQL with TimescaleDB (Docker, port $database_port)"
  with_compose run_step "${docker_compose[@]}" up --detach --wait database >&2 || {
    with_compose "${docker_compose[@]}" logs --tail 20 database >&2 || true
    die "the database container did not become ready"
  }
  # A volume from before may know another password than the one of this state directory.
  local password
  password=$(<"$state/compose-password")
  printf "ALTER ROLE pika PASSWORD '%s';\n" "$password" |
    with_compose "${docker_compose[@]}" exec -T database psql -XqU pika -d pika >&2 ||
    die "the database's password could not be set"
  database_url=postgres://pika:$password@127.0.0.1:$database_port/pika
}

start_cluster() {
  mark_database "$cluster" status --state "$state/database"
  launch_cluster || die "the database did not start"
}

launch_cluster() {
  local answer=$state/database.url status=0
  (umask 077 && : >"$answer")
  run_step "$cluster" start --state "$state/database" --port "$database_port" --profile service >"$answer" || status=1
  database_url=$(<"$answer")
  rm -f "$answer"
  database_pid=$("$cluster" status --state "$state/database" | sed -n 's/.*process \([0-9]*\),.*/\1/p')
  return $status
}

stop_database() {
  rm -f "$state/database-started"
  case $database in
    cluster) setsid --wait "$cluster" stop --state "$state/database" ;;
    compose)
      say "stopping the database container"
      with_compose setsid --wait "${docker_compose[@]}" stop --timeout 60 database >&2
      ;;
  esac
}

# Docker restarts its container by itself, and somebody else's database is not ours.
database_alive() {
  [[ $database != cluster || (-n $database_pid && -d /proc/$database_pid) ]]
}

# --- server and agent --------------------------------------------------------

# Starts a program in a session of its own (the terminal's Ctrl-C is for us alone);
# secrets reach it by the environment or by file, never by argument.
declare -A log_start
spawn() { # NAME ARGUMENT...
  local name=$1 log=$state/$1.log
  shift
  if [[ -f $log ]] && (($(stat -c %s "$log") > 16777216)); then mv "$log" "$log.1"; fi
  (umask 077 && : >>"$log")
  log_start[$name]=$(stat -c %s "$log")
  (umask 077 && exec setsid "$bin/pika-$name" "$@") </dev/null >>"$log" 2>&1 9>&- &
  disown $! # or bash reports its end on top of our own message
  printf -v "${name}_pid" %s $!
  echo $! >"$state/$name.pid"
}

log_of() { # NAME
  if [[ $1 == database ]]; then echo "$state/database/postgres.log"; else echo "$state/$1.log"; fi
}

# The end of a log, of the last start only.
show_log() { # NAME
  local log
  log=$(log_of "$1")
  tail -c "+$((${log_start[$1]:-0} + 1))" "$log" 2>/dev/null | show_tail_of "$log"
}

launch_server() {
  DATABASE_URL=$database_url PIKA_SERVER_ADDR=0.0.0.0:$port PIKA_ADMIN_PASSWORD_FILE=$state/admin-password \
    spawn server serve
}

launch_agent() {
  spawn agent run --server "$url" --state-dir "$state/agent"
}

server_ready() { "$bin/pika-server" healthcheck --url "$url" >/dev/null 2>&1; }

start_server() {
  url=http://127.0.0.1:$port
  say "starting the server on port $port"
  launch_server
  wait_until 180 "$server_pid" "the server to become ready (log: $state/server.log)" server_ready || {
    show_log server
    die "the server did not become ready (full log: $state/server.log)"
  }
}

start_agent() {
  log_in
  if [[ -f $state/agent/identity.json ]] && ! agent_known; then
    say "the server does not know this agent (another database?); enrolling it anew"
    rm -rf "$state/agent.previous"
    mv "$state/agent" "$state/agent.previous"
  fi
  [[ -f $state/agent/identity.json ]] || enroll
  say "starting the agent"
  agent_since=$(date +%s)000
  launch_agent
}

enroll() {
  say "enrolling an agent for this machine"
  local token log=$state/enrollment.log
  mkdir -p "$state/agent"
  chmod 0700 "$state/agent"
  token=$(DATABASE_URL=$database_url "$bin/pika-server" enrollment create \
    --name local --max-uses 1 --expires-in-hours 1 2>"$log") || {
    show_tail "$log"
    die "the server made no enrollment token"
  }
  PIKA_ENROLLMENT_TOKEN=$token "$bin/pika-agent" enroll --server "$url" --state-dir "$state/agent" >>"$log" 2>&1 || {
    show_tail "$log"
    die "the agent could not be enrolled (full log: $log)"
  }
}

agent_id() {
  sed -n 's/.*"id"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$state/agent/identity.json" | head -n 1
}

# Unknown only when the server says so; without a valid login nobody can tell.
agent_known() {
  [[ -z $session ]] || [[ $(api_status "/api/agents/$(agent_id)") != 404 ]]
}

# --- the API (secrets go to curl by stdin) -----------------------------------

session=''
log_in() {
  local answer password
  password=$(sed 's/[\\"]/\\&/g' "$state/admin-password")
  answer=$(printf '{"username":"admin","password":"%s"}' "$password" |
    curl -sS --max-time 20 -w '\n%{http_code}' -H 'Content-Type: application/json' --data-binary @- "$url/api/login" 2>&1) || true
  session=
  case ${answer##*$'\n'} in
    200 | 201) session=$(sed -n 's/.*"token"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' <<<"$answer" | head -n 1) ;;
    401) say "the password in $state/admin-password is not the admin's any more; going on without it" ;;
    *) say "the server refused the admin's login; going on without it: ${answer:0:200}" ;;
  esac
}

api() { # PATH [curl OPTION...]
  local path=$1
  shift
  printf 'header = "Authorization: Bearer %s"\n' "$session" | curl -sS --max-time 10 --config - "$@" "$url$path"
}

api_status() { api "$1" -o /dev/null -w '%{http_code}' 2>/dev/null || true; }

field() { # NAME, JSON on stdin
  sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Each family is there, and the newest sample is younger than this run.
samples_arrived() {
  local answer part taken
  answer=$(api "/api/agents/$(agent_id)/metrics/latest" 2>/dev/null | tr -d ' \n\t') || return 1
  for part in '"cpu":{' '"memory":{' '"load":{' '"disks":[' '"networks":['; do
    [[ $answer == *"$part"* ]] || return 1
  done
  taken=$(sed -n 's/.*"cpu":{[^}]*"timestamp":\([0-9]*\).*/\1/p' <<<"$answer")
  ((${taken:-0} >= agent_since))
}

wait_for_samples() {
  if [[ -z $session ]]; then
    # The best that can be seen from outside: it stays up.
    pause 3
    kill -0 "$agent_pid" 2>/dev/null && return 0
  elif wait_until 60 "$agent_pid" "the agent's first samples" samples_arrived; then
    say "the agent's samples arrive"
    return 0
  fi
  show_log agent
  show_log server
  die "no samples of the agent arrived (logs: $state/agent.log, $state/server.log)"
}

summary() {
  local info='' login where
  if [[ -n $session ]]; then
    login="user admin, password $(<"$state/admin-password")"
    info=$(api /api/system/info 2>/dev/null) || true
  else
    login="user admin (the password in $state/admin-password was not accepted)"
  fi
  if [[ $info == *timescaledbVersion* ]]; then
    info="PostgreSQL $(field postgresVersion <<<"$info"), TimescaleDB $(field timescaledbVersion <<<"$info"), $(field edition <<<"$info") edition"
  else
    info="see $state/server.log"
  fi
  case $database in
    external) where="the database of DATABASE_URL or of the configuration" ;;
    compose) where="the Docker volume of service database (docker/compose.yaml)" ;;
    cluster) where=$state/database/data ;;
  esac
  cat <<TEXT

  Pika runs:  http://localhost:$port
  Login:      $login
  Database:   $info
  Data:       $where
  Logs:       $state/server.log, $state/agent.log$([[ $database != cluster ]] || echo ", $state/database/postgres.log")

  Ctrl-C stops it.

TEXT
}

# --- looking after them ------------------------------------------------------

declare -A born deaths next_try

supervise() {
  local name
  for name in database server agent; do
    born[$name]=$SECONDS deaths[$name]=0 next_try[$name]=''
  done
  while :; do
    for name in database server agent; do look_after "$name"; done
    pause 1
  done
}

alive() { # NAME
  case $1 in
    database) database_alive ;;
    server) kill -0 "$server_pid" 2>/dev/null ;;
    agent) kill -0 "$agent_pid" 2>/dev/null ;;
  esac
}

look_after() { # NAME
  local name=$1 wait_for
  alive "$name" && return 0
  if [[ -z ${next_try[$name]} ]]; then
    if ((SECONDS - born[$name] < quick_death)); then
      deaths[$name]=$((deaths[$name] + 1))
    else
      deaths[$name]=1
    fi
    if ((deaths[$name] >= deaths_allowed)); then
      show_log "$name"
      die "the $name ended ${deaths[$name]} times in quick succession (full log: $(log_of "$name"))"
    fi
    wait_for=$((1 << (deaths[$name] - 1)))
    next_try[$name]=$((SECONDS + wait_for))
    say "the $name has ended; starting it again in $wait_for s (log: $(log_of "$name"))"
  elif ((SECONDS >= next_try[$name])); then
    next_try[$name]=
    say "starting the $name again"
    case $name in
      # Its failure is one more death, not our end.
      database) launch_cluster || true ;;
      *) "launch_$name" ;;
    esac
    born[$name]=$SECONDS
  fi
}

main "$@"
