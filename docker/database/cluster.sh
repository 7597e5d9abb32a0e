#!/usr/bin/env bash
# Creates, starts and stops a private PostgreSQL + TimescaleDB cluster, for machines
# without a container engine and for the tests. A cluster is contained in its state
# directory; other clusters of the machine are never touched.
#
#   cluster.sh start  --state DIR --port PORT --profile service|test
#   cluster.sh stop   --state DIR
#   cluster.sh url    --state DIR
#   cluster.sh status --state DIR      (exit status 0: runs, 3: stopped)
#   cluster.sh needs  --state DIR      prints what `start` would install, if anything
#
# `start` may be repeated; its only line on stdout is the URL. Port 0 means any free
# one. PostgreSQL comes from the first of these that works:
#   1. an installed one, 16 to 18, with TimescaleDB 2.19 or newer;
#   2. a private root from an earlier run;
#   3. the distribution's own package;
#   4. a new private root, see root.sh. It is kept in PIKA_POSTGRES_ROOT (default:
#      /var/cache/pika/postgres-root) for all clusters of this machine; remove that
#      directory while they are stopped to have it rebuilt.
# The log is DIR/postgres.log; settings of your own go into DIR/data/local.conf.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=docker/lib.sh
source "$here/../lib.sh"
# shellcheck source=docker/database/postgres.sh
source "$here/postgres.sh"
# shellcheck source=docker/database/settings.sh
source "$here/settings.sh"

# An earlier version kept it inside the checkout.
default_root() {
  local earlier=$repo/.pika/postgres-root
  if [[ -d $earlier ]]; then echo "$earlier"; else echo /var/cache/pika/postgres-root; fi
}

usage() {
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

usage_error() {
  printf 'cluster.sh: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

main() {
  action='' state='' port='' profile=service
  case ${1:-} in
    start | stop | url | status | needs) action=$1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    '') usage_error "which action: start, stop, url, status or needs?" ;;
    *) usage_error "unknown action: $1" ;;
  esac
  local arguments=("$@")
  shift
  while (($#)); do
    case $1 in
      --state | --port | --profile)
        (($# > 1)) || usage_error "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift 2
        ;;
      *) usage_error "unknown option: $1" ;;
    esac
  done
  [[ -n $state ]] || usage_error "--state is missing"
  [[ $profile == service || $profile == test ]] || usage_error "--profile is service or test, not $profile"
  if [[ $action == start ]]; then
    [[ $port =~ ^[0-9]{1,5}$ && $((10#$port)) -le 65535 ]] || usage_error "--port needs a number from 0 to 65535"
    port=$((10#$port))
  fi

  require_linux
  postgres_root=${PIKA_POSTGRES_ROOT:-$(default_root)}
  # Only root can handle a cluster in a private root.
  if ((EUID != 0)) && [[ -d $state ]]; then
    if [[ ! -w $state || (-f $state/origin && $(<"$state/origin") == "root "*) ]]; then
      become_root "${arguments[@]}"
    fi
  fi
  "do_$action" "${arguments[@]}"
}

become_root() { # ARGUMENT...
  can_be_root || die "$action needs root for $state (run it as root, or allow sudo without a password)"
  exec sudo -n env PIKA_POSTGRES_ROOT="$postgres_root" "${BASH_SOURCE[0]}" "$@"
}

# --- actions -----------------------------------------------------------------

do_start() {
  umask 022
  mkdir -p "$state"
  state=$(cd "$state" && pwd -P)
  # The server's user passes through to its data; the secrets beside it are 0600.
  chmod 0711 "$state"
  exec 9>"$state/lock"
  flock -n 9 || {
    say "waiting for another cluster.sh that is working on $state"
    flock -w 900 9 || die "another cluster.sh still holds $state/lock after 15 minutes"
  }

  local running
  running=$(running_port)
  if [[ -n $running ]]; then
    recall_origin
    ((port == 0 || port == running)) || say "PostgreSQL already runs on port $running, not $port; using that"
    port=$running
  else
    choose_origin "$@"
    check_version
    end_orphans
    make_data
    local tries=1
    ((port == 0)) && tries=5
    launch "$tries"
  fi
  # A standby has what its primary has.
  [[ -e $state/data/standby.signal ]] || set_up_database
  print_url
}

do_stop() {
  [[ -d $state ]] || return 0
  state=$(cd "$state" && pwd -P)
  local pid
  pid=$(postmaster_pid)
  if [[ -n $pid ]]; then
    say "stopping PostgreSQL (process $pid)"
    # Fast shutdown first: clients are cut off, nothing is lost. Then harder.
    kill -INT "$pid" || true
    wait_gone 60 "$pid" || {
      note "it is still running after 60 s; immediate shutdown (it recovers at the next start)"
      kill -QUIT "$pid" 2>/dev/null || true
      wait_gone 10 "$pid" || true
    }
  fi
  end_orphans
}

do_url() {
  port=$(running_port)
  [[ -n $port ]] || die "no PostgreSQL runs for $state" "Start it: ${BASH_SOURCE[0]} start --state $state --port 15432"
  print_url
}

do_status() {
  local pid
  pid=$(postmaster_pid)
  if [[ -z $pid ]]; then
    echo "stopped"
    exit 3
  fi
  recall_origin
  echo "running: process $pid, port $(running_port), PostgreSQL from $origin"
}

do_needs() {
  # Without root nothing is installed, and `start` says what else to do.
  if find_origin || ! can_be_root; then return 0; fi
  echo "PostgreSQL with TimescaleDB, as the database: this distribution's package where it has one, else a private copy of a newer release in $postgres_root (debootstrap, 500 MB)"
}

print_url() {
  printf 'postgres://pika:%s@127.0.0.1:%s/pika\n' "$(<"$state/pika.password")" "$port"
}

# --- processes ---------------------------------------------------------------

# Every PostgreSQL process of this cluster: they all have the data directory as their
# working directory, which also holds for a private root and is safe against reused
# process ids.
cluster_pids() {
  local process
  [[ -d $state/data ]] || return 0
  for process in /proc/[0-9]*; do
    [[ $process/cwd -ef $state/data && $(readlink "$process/exe") == */postgres* ]] || continue
    echo "${process#/proc/}"
  done 2>/dev/null
}

postmaster_pid() {
  local pid=
  read -r pid 2>/dev/null <"$state/data/postmaster.pid" || true
  [[ -n $pid ]] || return 0
  cluster_pids | grep -x -- "$pid" || true
}

# Whether this cluster's PostgreSQL accepts connections, and not another one at its port.
is_ready() {
  [[ -n $(postmaster_pid) && $(sed -n 8p "$state/data/postmaster.pid" 2>/dev/null) == ready* ]]
}

running_port() {
  [[ -n $(postmaster_pid) ]] || return 0
  sed -n 4p "$state/data/postmaster.pid"
}

wait_gone() { # SECONDS PID...
  local deadline=$((SECONDS + $1)) told=$SECONDS pid alive
  shift
  while :; do
    alive=
    for pid; do [[ ! -d /proc/$pid ]] || alive=1; done
    [[ -n $alive ]] || return 0
    ((SECONDS < deadline)) || return 1
    ((SECONDS - told < 5)) || {
      told=$SECONDS
      note "still waiting for it to end"
    }
    sleep 0.1
  done
}

# After a postmaster was killed its children may live on for a while and hold the
# shared memory, and PostgreSQL rightly refuses to start until they are gone.
end_orphans() {
  local pids
  mapfile -t pids < <(cluster_pids)
  ((${#pids[@]})) || return 0
  say "waiting for ${#pids[@]} processes that an earlier, killed PostgreSQL left behind"
  wait_gone 5 "${pids[@]}" && return 0
  kill -QUIT "${pids[@]}" 2>/dev/null || true
  wait_gone 5 "${pids[@]}" && return 0
  kill -KILL "${pids[@]}" 2>/dev/null || true
  wait_gone 5 "${pids[@]}" || die "processes ${pids[*]} of an earlier PostgreSQL cannot be ended"
}

# --- the cluster -------------------------------------------------------------

check_version() {
  [[ -n $major ]] || return 0
  local version
  version=$(postgres_program postgres --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
  [[ $version == "$major" ]] ||
    die "the data in $state was made by PostgreSQL $major, but $bin is PostgreSQL $version" \
      "Nothing was changed. Install PostgreSQL $major with TimescaleDB again, or move the data with" \
      "pg_dump and pg_restore, or use another state directory."
}

make_data() {
  secret_file "$state/superuser.password" 24 >/dev/null
  secret_file "$state/pika.password" 24 >/dev/null
  if [[ ! -d $state/data ]]; then
    say "creating a new cluster in $state/data"
    # Left behind by an interrupted attempt.
    rm -rf "$state/data.new" "$state/pwfile"
    install -d -m 0700 "$state/data.new"
    install -m 0600 "$state/superuser.password" "$state/pwfile"
    ((EUID != 0)) || chown "$run_uid:$run_gid" "$state/data.new" "$state/pwfile"
    local view failed=0
    view=$(view)
    postgres_program initdb -D "$view/data.new" -U postgres --pwfile="$view/pwfile" --auth=scram-sha-256 \
      --encoding=UTF8 --locale=C.UTF-8 --data-checksums >"$state/initdb.log" 2>&1 || failed=1
    rm -f "$state/pwfile"
    ((failed == 0)) || {
      show_tail "$state/initdb.log"
      die "initdb failed"
    }
    cat >>"$state/data.new/postgresql.conf" <<'CONF'

# Pika's settings, rewritten at every start, then yours, which take precedence.
include_if_exists = 'pika.conf'
include_if_exists = 'local.conf'
CONF
    # Atomic: an interrupted initdb never looks like a cluster.
    mv "$state/data.new" "$state/data"
  fi
  # The user may differ from last time, for example because the first one was removed.
  if ((EUID == 0)) && [[ $(stat -c %u "$state/data") != "$run_uid" ]]; then
    say "giving the data to user $run_uid"
    chown -R "$run_uid:$run_gid" "$state/data"
  fi
}

launch() { # TRIES
  local tries=$1 wanted=$port log=$state/postgres.log
  if ((wanted == 0)); then
    port=$(free_port)
  elif port_taken "$port"; then
    die "port $port on 127.0.0.1 is taken by another program" \
      "Stop that program, or choose another port (cluster.sh: --port, start.sh: PIKA_DATABASE_PORT)."
  fi
  write_settings
  if [[ -f $log ]] && (($(stat -c %s "$log") > 16777216)); then mv "$log" "$log.1"; fi
  (umask 077 && : >>"$log")
  local from
  from=$(stat -c %s "$log")

  say "starting PostgreSQL on 127.0.0.1:$port"
  # In its own session, so that the terminal's Ctrl-C does not reach it, and without our environment, which may hold
  # secrets.
  (
    detached=(env -i setsid)
    exec_postgres postgres -D "$(view)/data"
  ) </dev/null >>"$log" 2>&1 &
  local child=$! told=$SECONDS
  until is_ready; do
    if ! kill -0 "$child" 2>/dev/null; then
      if ((tries > 1)) && tail -c "+$((from + 1))" "$log" | grep -q 'could not bind'; then
        port=0
        launch $((tries - 1))
        return
      fi
      show_tail "$log"
      die "PostgreSQL did not start (full log: $log)"
    fi
    if ((SECONDS - told >= 5)); then
      told=$SECONDS
      note "not ready yet: $(tail -n 1 "$log" | cut -c 1-100)"
    fi
    sleep 0.2
  done
}

set_up_database() {
  local role='NOSUPERUSER CREATEDB'
  [[ $profile != test ]] || role='SUPERUSER CREATEDB'
  secret_file "$state/pika.password" 24 >/dev/null
  # Idempotent, so that the next start repairs an interrupted first one.
  sql postgres <<SQL || die "the database could not be set up (log: $state/postgres.log)"
SELECT 'CREATE ROLE pika' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pika') \gexec
ALTER ROLE pika WITH LOGIN $role PASSWORD '$(<"$state/pika.password")';
SELECT 'CREATE DATABASE pika OWNER pika' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'pika') \gexec
SQL
  # After an upgrade of the package the extension has to follow, before anything else is
  # said in a session; a no-op otherwise.
  local statement='ALTER EXTENSION timescaledb UPDATE'
  [[ -e $state/complete ]] || statement='CREATE EXTENSION IF NOT EXISTS timescaledb'
  sql pika -c "$statement" >&2 ||
    die "TimescaleDB could not be set up in the database (log: $state/postgres.log)"
  : >"$state/complete"
  [[ $profile == test ]] || make_grafana_role
}

# Who reads schema `grafana`; Pika's own role may make no roles. Its password is in grafana.password.
make_grafana_role() {
  local password
  password=$(secret_file "$state/grafana.password" 24)
  sed "s/{password}/$password/" "$repo/sql/grafana/role.sql" | sql pika >&2 ||
    die "the role pika_grafana could not be made (log: $state/postgres.log)"
  # Where the server has made the schema before there was the role.
  sql pika <"$repo/sql/grafana/grant.sql" >&2 || die "the role pika_grafana could not be given its rights"
}

main "$@"
