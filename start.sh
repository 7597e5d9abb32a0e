#!/usr/bin/env bash
# Sets up and runs Pika: builds it, starts a database, the server and an agent for this
# machine, and supervises them until Ctrl-C.
#
#   ./start.sh [--listen ADDRESS] [--port N] [--config FILE] [--database KIND]
#              [--demo N] [--grafana] [--no-console] [--yes]
#   ./start.sh --database-only     starts just the database, prints its URL and returns
#   ./start.sh --stop              stops whatever an earlier start.sh left running
#   ./start.sh --help
#
#   --listen ADDRESS   where the server listens (default 127.0.0.1: this machine only);
#                      0.0.0.0 opens it to the network, where it speaks plain HTTP
#   --port N           the server's port (default 18888)
#   --config FILE      the server's configuration file
#   --database KIND    changes the database; by default a state directory keeps its own
#   --demo N           adds N simulated machines, whose names begin with demo-
#   --grafana          starts Grafana with Pika's dashboards, if the database is in Docker
#   --no-console       does not build the web console, which needs Node.js
#   --yes              installs what is missing without asking
#
# At the first start the database (KIND) is the first of these that is available:
#   external   DATABASE_URL, or database.url or database.postgres in the configuration;
#   compose    the service `database` of docker/compose.yaml, if Docker works;
#   cluster    a private PostgreSQL, see docker/database/cluster.sh.
# Environment: DATABASE_URL; PIKA_DATABASE_PORT (default 15432) for the last two;
# PIKA_ADMIN_PASSWORD for the first start (default: a random one, which is printed);
# PIKA_STATE_DIR for data, logs and secrets (default: /var/lib/pika for root, else
# ~/.local/state/pika; .pika in the checkout if an earlier version created it);
# PIKA_BIN_DIR, a directory with pika-server and pika-agent to use instead of building
# them. The server and the agent also read their own PIKA_... variables.
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/docker/lib.sh"
# shellcheck source=docker/start/processes.sh
source "$repo/docker/start/processes.sh"
# shellcheck source=docker/start/database.sh
source "$repo/docker/start/database.sh"
# shellcheck source=docker/start/agent.sh
source "$repo/docker/start/agent.sh"
# shellcheck source=docker/start/demo.sh
source "$repo/docker/start/demo.sh"
# shellcheck source=docker/start/grafana.sh
source "$repo/docker/start/grafana.sh"
# shellcheck source=docker/start/console.sh
source "$repo/docker/start/console.sh"

# Only the server gets secrets, not every program that we start.
declare -A secrets=()
for name in DATABASE_URL PIKA_DATABASE_URL PIKA_ADMIN_PASSWORD PIKA_AUTH_ADMIN_PASSWORD \
  PIKA_ALERTING_SECRET_KEYS; do
  [[ -z ${!name:-} ]] || secrets[$name]=${!name}
  unset "$name"
done
database_port=${PIKA_DATABASE_PORT:-15432}
listen='' port='' database_option='' assume_yes='' no_console='' demo='' grafana=''
action=run config=${PIKA_CONFIG:-} bin='' state='' url=''
secret_keys=()

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
      --no-console) no_console=1 ;;
      --grafana) grafana=1 ;;
      --yes) assume_yes=1 ;;
      --listen | --port | --config | --database | --demo)
        (($# > 1)) || usage_error "$1 needs a value"
        case $1 in
          --database) database_option=$2 ;;
          *) printf -v "${1#--}" %s "$2" ;;
        esac
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
  [[ -z $port ]] || valid_port "$port" || usage_error "--port needs a number from 1 to 65535, not $port"
  [[ -z $listen || $listen =~ ^[0-9.]+$ || $listen == *:* ]] ||
    usage_error "--listen needs an IP address, such as 127.0.0.1 or 0.0.0.0, not $listen"
  [[ $demo =~ ^([1-9][0-9]{0,3})?$ ]] || usage_error "--demo needs a number of machines from 1 to 9999, not $demo"
  [[ $database_option =~ ^(|cluster|compose|external)$ ]] ||
    usage_error "--database is cluster, compose or external, not $database_option"
  valid_port "$database_port" || usage_error "PIKA_DATABASE_PORT needs a number from 1 to 65535, not $database_port"
  database_port=$((10#$database_port))
  if [[ -n $config ]]; then
    [[ -r $config ]] || usage_error "cannot read $config"
    PIKA_CONFIG=$(realpath "$config")
    export PIKA_CONFIG
  fi
  require_linux
  find_state
  "$action"
}

# Not in the checkout, where `git clean -fdx` would delete data without a word.
find_state() {
  local earlier=$repo/.pika
  if [[ -n ${PIKA_STATE_DIR:-} ]]; then
    state=$PIKA_STATE_DIR
  elif [[ -e $earlier/server.log || -d $earlier/database || -e $earlier/compose-password ]]; then
    state=$earlier
    say "using $earlier, which an earlier version created; \`git clean -fdx\` would delete it"
    note "To keep it safe, stop Pika and move it to $(default_state)."
  else
    state=$(default_state)
  fi
}

# PostgreSQL's user passes through; the secrets in it are 0600.
make_state() {
  [[ -d $state ]] || (umask 022 && mkdir -p "$(dirname "$state")" && install -d -m 0711 "$state")
  state=$(cd "$state" && pwd -P)
}

default_state() {
  if ((EUID == 0)); then echo /var/lib/pika; else echo "${XDG_STATE_HOME:-$HOME/.local/state}/pika"; fi
}

run() {
  make_state
  exec 9>>"$state/lock"
  flock -n 9 || die "another start.sh is running with $state (process $(<"$state/lock"))" \
    "Stop that one (./start.sh --stop), or set PIKA_STATE_DIR for a second Pika."
  echo $$ >"$state/lock"
  trap clean_up EXIT
  trap 'stopped_by INT' INT
  trap 'stopped_by TERM' TERM
  trap 'stopped_by HUP' HUP

  stop_leftovers
  prepare
  start_database
  keep_admin_password
  keep_secret_key
  start_server
  remember_database
  start_agent
  wait_for_samples
  start_demo
  start_grafana
  summary
  supervise
}

database_only() {
  make_state
  trap clean_up EXIT
  trap 'stopped_by INT' INT
  trap 'stopped_by TERM' TERM
  prepare
  start_database
  remember_database
  printf '%s\n' "$database_url"
}

# Determines what to start, and installs and builds what that needs.
prepare() {
  local lines
  # Only the program itself can read its configuration.
  if configured; then
    mapfile -t lines < <(lacking_for_build)
    agree_to_install "${lines[@]}"
    build
  fi
  choose_database
  check_grafana
  [[ $action != run ]] || choose_address
  mapfile -t lines < <(lacking_for_start)
  agree_to_install "${lines[@]}"
  [[ $action != run || -n $bin ]] || build
}

lacking_for_build() {
  if [[ -z ${PIKA_BIN_DIR:-} ]]; then
    lacking_rust
    lacking_c_compiler
    lacking_console
  fi
}

lacking_for_start() {
  {
    if [[ $action == run ]]; then
      [[ -n $bin ]] || lacking_for_build
      lacking_curl
    fi
    lacking_database
  } | distinct
}

# --- the configuration -------------------------------------------------------

# Whether a file or the environment may set anything that matters here.
configured() {
  [[ -n ${PIKA_CONFIG:-} || -e /etc/pika/server.yaml ]] || ((${#secrets[@]})) ||
    compgen -v | grep -qE '^PIKA_(DATABASE_(URL|POSTGRES)|SERVER_|ADMIN_|AUTH_ADMIN_|ALERTING_)'
}

# Prints the effective value of a key, or nothing if --given is set and neither the file nor the environment gives one.
setting() { # [--given] KEY
  local status=0 name
  (
    for name in "${!secrets[@]}"; do export "$name=${secrets[$name]}"; done
    exec "$bin/pika-server" config get "$@"
  ) || status=$?
  ((status == 0 || status == 3)) || die "the configuration cannot be used (the reason is above)"
}

# Sets `listen` and `port` from the command line or the configuration.
choose_address() {
  local given=''
  if configured; then
    given=$(setting --given server.addr)
    [[ -z $(setting --given server.tls.certificate_file) ]] ||
      die "start.sh supports only plain HTTP, and the configuration sets server.tls" \
        "Run pika-server and pika-agent as services (docker/systemd), or take server.tls out."
  fi
  if [[ -n $given ]]; then
    [[ -n $listen ]] || listen=${given%:*}
    [[ -n $port ]] || port=${given##*:}
  fi
  listen=${listen:-127.0.0.1} port=$((10#${port:-18888}))
  listen=${listen#[} listen=${listen%]}
  valid_port "$port" || die "server.addr needs a port from 1 to 65535, not $port"
  case $listen in
    0.0.0.0) url=http://127.0.0.1:$port ;;
    ::) url="http://[::1]:$port" ;;
    *:*) url="http://[$listen]:$port" ;;
    *) url=http://$listen:$port ;;
  esac
  port_taken "$port" && die "port $port is taken by another program" "Stop that program, or choose another one: ./start.sh --port N"
  return 0
}

# --- ending ------------------------------------------------------------------

stopped_by() {
  # Without a terminal (HUP) nothing can be printed, but cleanup still has to run.
  say "stopping ($1)" || true
  exit 0
}

server_pid='' agent_pid='' bench_pid=''
clean_up() {
  local status=$?
  set +e
  trap - EXIT
  # A second Ctrl-C would leave things half stopped; every step has a deadline.
  trap '' INT TERM HUP PIPE
  [[ -z $current ]] || end_group "$current"
  rm -f "$state/database.url"
  stop_grafana
  stop_process bench "$bench_pid" 10
  stop_process agent "$agent_pid" 10
  stop_process server "$server_pid" 30
  [[ -z $database_mine ]] || stop_database
  [[ -z $server_pid ]] || say "Pika is stopped; its data and logs stay in $state"
  exit "$status"
}

stop() {
  local pid
  [[ -d $state ]] || {
    say "Pika is not running; there is no $state"
    return 0
  }
  state=$(cd "$state" && pwd -P)
  exec 9>>"$state/lock"
  if ! flock -n 9; then
    pid=$(<"$state/lock")
    say "stopping the running start.sh (process $pid)"
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
  say "Pika is stopped; data and logs stay in $state"
}

# --- building ----------------------------------------------------------------

build() {
  if [[ -n ${PIKA_BIN_DIR:-} ]]; then
    bin=$(cd "$PIKA_BIN_DIR" && pwd) || die "PIKA_BIN_DIR is not a directory: $PIKA_BIN_DIR"
  else
    need_rust
    need_c_compiler
    build_console
    say "building Pika (a few minutes the first time)"
    run_step cargo build --release --manifest-path "$repo/Cargo.toml" -p pika-server -p pika-agent ${demo:+-p pika-bench} ||
      die "the build failed (its messages are above)"
    bin=${CARGO_TARGET_DIR:-$repo/target}/release
    "$repo/docker/agent/build.sh" --programs "$bin" "$bin/pika-install" 2>/dev/null ||
      note "other machines cannot install the agent from this server"
  fi
  [[ -x $bin/pika-server && -x $bin/pika-agent ]] || die "$bin has no pika-server and pika-agent"
  [[ -z $demo || -x $bin/pika-bench ]] || die "$bin has no pika-bench, which --demo needs"
}

# --- the server --------------------------------------------------------------

# The first administrator's password: from the configuration, or a random one.
keep_admin_password() {
  local given=''
  need curl curl ca-certificates
  if ! [[ -s $state/admin-password ]] && configured; then
    given=$(setting --given auth.admin_password)
    [[ -z $given ]] || (umask 077 && printf %s "$given" >"$state/admin-password")
  fi
  secret_file "$state/admin-password" 12 >/dev/null
}

# The key that encrypts secrets in the database: from the configuration, or generated once. Without it, they cannot be
# read again.
keep_secret_key() {
  if configured && [[ -n $(setting --given alerting.secret_keys) ]]; then
    secret_keys=()
    return
  fi
  "$bin/pika-server" secret-key new --file "$state/secret-key"
  secret_keys=("PIKA_ALERTING_SECRET_KEYS_FILE=$state/secret-key")
}

launch_server() {
  local address=$listen:$port setting
  [[ $listen != *:* ]] || address=[$listen]:$port
  for setting in ${secret_keys[@]+"${secret_keys[@]}"}; do local -x "${setting?}"; done
  DATABASE_URL=$database_url PIKA_SERVER_ADDR=$address PIKA_ADMIN_PASSWORD_FILE=$state/admin-password \
    spawn server serve
}

server_ready() { "$bin/pika-server" healthcheck --url "$url" >/dev/null 2>&1; }

start_server() {
  say "starting the server on port $port"
  launch_server
  wait_until 180 "$server_pid" "the server to become ready (log: $state/server.log)" server_ready || {
    show_log server
    die "the server did not become ready (full log: $state/server.log)"
  }
}

summary() {
  local info='' login open
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
  case $listen in
    127.* | ::1) open="this machine only; ./start.sh --listen 0.0.0.0 opens it to the network" ;;
    *) open="the network, on $listen" ;;
  esac
  cat <<TEXT

  Pika runs:  ${url/127.0.0.1/localhost}
  Open to:    $open,
              unencrypted: whoever is on the way can read passwords. config/README.md says how to use TLS.
  Login:      $login$(describe_grafana)
  Database:   $info
  Data:       $(describe_database "$database")
  Logs:       $state/server.log, $state/agent.log$([[ $database != cluster ]] || echo ", $state/database/postgres.log")

  Ctrl-C stops it.

TEXT
}

main "$@"
