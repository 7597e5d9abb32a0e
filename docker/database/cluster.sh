#!/usr/bin/env bash
# Makes, starts and stops a private PostgreSQL + TimescaleDB cluster, for machines
# without a container engine and for the tests. Everything of a cluster lives in
# its state directory; no other cluster of the machine is ever touched.
#
#   cluster.sh start  --state DIR --port PORT --profile service|test
#   cluster.sh stop   --state DIR
#   cluster.sh url    --state DIR
#   cluster.sh status --state DIR      (exit status 0: runs, 3: stopped)
#
# `start` may be repeated; its only line on stdout is the URL. Port 0 means any free
# one. PostgreSQL comes from the first of these that works:
#   1. one that this machine has, 16 to 18, with TimescaleDB 2.19 or newer;
#   2. a private root from an earlier run;
#   3. the distribution's own package;
#   4. a new private root, made by debootstrap from a newer release of the same
#      distribution and its mirror. No package of another release is put onto the host.
#      It is kept in PIKA_POSTGRES_ROOT (default: .pika/postgres-root) for all clusters;
#      remove that directory while they are stopped to have it built anew.
# The log is DIR/postgres.log; settings of your own go into DIR/data/local.conf.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=docker/lib.sh
source "$here/../lib.sh"

readonly supported_majors='18 17 16'
readonly oldest_timescaledb=2.19
postgres_root=${PIKA_POSTGRES_ROOT:-$repo/.pika/postgres-root}

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
    start | stop | url | status) action=$1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    '') usage_error "which action: start, stop, url or status?" ;;
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
  # A cluster in a private root is root's to handle.
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
    say "waiting for another cluster.sh that works on $state"
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
  set_up_database
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
      note "it still runs after 60 s; immediate shutdown (it recovers at the next start)"
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
# shared memory, and PostgreSQL rightly refuses to start beside them.
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

# --- where PostgreSQL comes from ---------------------------------------------
# origin: "root DIR" (a private root) or "host DIR" (DIR holds bin/postgres).

recall_origin() {
  major=$(<"$state/data/PG_VERSION")
  origin=$(<"$state/origin")
  use_origin
}

choose_origin() { # the script's ARGUMENT...
  major=
  [[ ! -f $state/data/PG_VERSION ]] || major=$(<"$state/data/PG_VERSION")

  # What made the data is the best to serve it: another build may have an older TimescaleDB.
  origin=''
  [[ ! -f $state/origin ]] || origin=$(<"$state/origin")
  origin_usable || origin=''
  [[ -n $origin ]] || find_on_host || true
  [[ -n $origin || ! -d $postgres_root ]] || use_private_root "$@"
  [[ -n $origin ]] || install_from_distribution
  [[ -n $origin ]] || use_private_root "$@"
  use_origin
  printf '%s\n' "$origin" >"$state/origin"
}

origin_usable() {
  case $origin in
    "root "*) [[ $origin == "root $postgres_root" ]] && root_bin >/dev/null ;;
    "host "*) host_usable "${origin#host }" ;;
    *) return 1 ;;
  esac
}

use_origin() {
  case $origin in
    "root "*)
      postgres_root=${origin#root }
      bin=$(root_bin)
      postgres_user
      # initdb wants a name for its user id.
      awk -F: -v id="$run_uid" '$3 == id { found = 1 } END { exit !found }' "$postgres_root/etc/passwd" ||
        echo "pika:x:$run_uid:$run_gid::/:/usr/sbin/nologin" >>"$postgres_root/etc/passwd"
      ;;
    "host "*)
      bin=${origin#host }/bin
      postgres_user
      ;;
  esac
}

nothing_found() { # REASON
  die "$1" \
    "Pika needs PostgreSQL 16-18 with TimescaleDB $oldest_timescaledb or newer. Either" \
    "  - install Docker Engine with its compose plugin and run this again, or" \
    "  - install the two from your distribution or timescale.com and run this again, or" \
    "  - set DATABASE_URL to a database that has the extension."
}

wanted_majors() { echo "${major:-$supported_majors}"; }

# What the machine has.

find_on_host() {
  local wanted directory candidates=()
  for wanted in $(wanted_majors); do
    candidates+=("/usr/lib/postgresql/$wanted" "/usr/pgsql-$wanted" "/opt/postgresql/$wanted")
  done
  candidates+=(/usr/local/pgsql /usr/local /usr)
  ! have pg_config || candidates+=("$(dirname "$(pg_config --bindir)")")
  for directory in "${candidates[@]}"; do
    host_usable "$directory" || continue
    origin="host $directory"
    say "using PostgreSQL of this machine: $directory"
    return 0
  done
  return 1
}

host_usable() { # DIRECTORY
  local version share control='' library=''
  [[ -x $1/bin/postgres && -x $1/bin/initdb && -x $1/bin/psql ]] || return 1
  version=$("$1/bin/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/') || return 1
  [[ " $(wanted_majors) " == *" $version "* ]] || return 1
  # Debian keeps what belongs to a version apart from its binaries.
  local shares=("$1/share" "$1/share/postgresql" "$1/share/pgsql")
  [[ $1 != /usr/lib/postgresql/* ]] || shares=("/usr/share/postgresql/$version")
  for share in "${shares[@]}"; do
    [[ ! -f $share/extension/timescaledb.control ]] || control=$share/extension/timescaledb.control
  done
  for share in "$1/lib" "$1/lib/postgresql" "$1/lib64/pgsql"; do
    [[ ! -f $share/timescaledb.so ]] || library=$share/timescaledb.so
  done
  [[ -n $control && -n $library ]] && version_at_least "$(control_version "$control")" "$oldest_timescaledb"
}

control_version() { # CONTROL_FILE
  sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" "$1"
}

# PostgreSQL refuses to run as root. In a private root too its user is one of the host:
# the same number may belong to somebody else here.
postgres_user() {
  local name
  run_uid=$EUID run_gid=$(id -g)
  ((EUID == 0)) || return 0
  for name in pika-postgres postgres; do
    ! id "$name" >/dev/null 2>&1 || break
  done
  if ! id "$name" >/dev/null 2>&1; then
    name=pika-postgres
    say "adding the system user $name, as PostgreSQL refuses to run as root"
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$name"
  fi
  run_uid=$(id -u "$name") run_gid=$(id -g "$name")
}

# The distribution's package.

install_from_distribution() {
  local wanted package=''
  apt_usable || return 0
  package=$(offered_package)
  [[ -n $package ]] || {
    apt_refresh
    package=$(offered_package)
  }
  [[ -n $package ]] || return 0

  # Debian's packages make and start a cluster "main" of their own; that is not ours to decide.
  local quiet=/etc/postgresql-common/createcluster.d/zz-pika.conf
  as_root mkdir -p "${quiet%/*}"
  echo 'create_main_cluster = false' | as_root tee "$quiet" >/dev/null
  # Interrupted, we let apt-get finish what it began.
  # shellcheck disable=SC2064 # the path of now is meant
  trap "wait; as_root rm -f '$quiet'" EXIT
  apt_install "$package" || nothing_found "apt-get could not install $package (its messages are above)"
  as_root rm -f "$quiet"
  trap - EXIT
  find_on_host || nothing_found "$package is installed, but PostgreSQL with TimescaleDB was not found after it"
}

offered_package() {
  local wanted version
  for wanted in $(wanted_majors); do
    version=$(apt_candidate "postgresql-$wanted-timescaledb")
    if [[ -n $version ]] && version_at_least "${version#*:}" "$oldest_timescaledb"; then
      echo "postgresql-$wanted-timescaledb"
      return 0
    fi
  done
}

# A private root.

use_private_root() { # the script's ARGUMENT...
  origin="root $postgres_root"
  have apt-get || nothing_found "this machine has no PostgreSQL with TimescaleDB, and is neither Debian nor Ubuntu"
  if ((EUID != 0)); then
    can_be_root || nothing_found "this machine has no PostgreSQL with TimescaleDB, and a private one needs root (or sudo without a password)"
    flock -u 9
    become_root "$@"
  fi
  unshare --mount true 2>/dev/null ||
    nothing_found "a private PostgreSQL needs a mount namespace, and this machine (a container?) allows none"

  mkdir -p "$(dirname "$postgres_root")"
  exec 8>"$postgres_root.lock"
  flock -n 8 || {
    say "waiting for another build of $postgres_root"
    flock 8
  }
  [[ -d $postgres_root ]] || build_root
  exec 8>&-
  root_bin >/dev/null || nothing_found "$postgres_root holds no PostgreSQL ${major:+$major }with TimescaleDB${major:+, which the data in $state was made by}"
}

# A root is renamed to its place only when it is complete: if it is there, it is whole.
root_bin() {
  local directory wanted
  for wanted in $(wanted_majors); do
    directory=/usr/lib/postgresql/$wanted
    [[ -x $postgres_root$directory/bin/postgres && -f $postgres_root$directory/lib/timescaledb.so ]] &&
      echo "$directory/bin" && return 0
  done
  return 1
}

build_root() {
  local building=$postgres_root.building log=$postgres_root.log suites suite
  have debootstrap || apt_install debootstrap || nothing_found "debootstrap could not be installed"
  case $(. /etc/os-release && echo "${ID:-}") in
    debian) suites=trixie:17 ;;
    ubuntu) suites='resolute:18 questing:17' ;;
    *) nothing_found "this machine has no PostgreSQL with TimescaleDB, and is neither Debian nor Ubuntu" ;;
  esac
  trap 'stop_building; exit 130' INT TERM HUP
  trap stop_building EXIT
  for suite in $suites; do
    # What an interrupted build left; the lock is ours, so nobody works on it.
    rm -rf --one-file-system "$building"
    bootstrap "${suite%:*}" "postgresql-${suite#*:}-timescaledb" "$building" "$log" && break
    show_tail "$log"
    [[ $suite != "${suites##* }" ]] || nothing_found "no private root could be made (full log: $log)"
  done
  # Only PostgreSQL is wanted: no cluster of the package's own, no package archives.
  rm -rf "$building"/var/cache/apt/archives/*.deb "$building"/var/lib/apt/lists/* \
    "$building"/var/lib/postgresql/*/main "$building"/etc/postgresql/*/main
  mkdir -p "$building/var/lib/pika"
  [[ -x $(echo "$building"/usr/lib/postgresql/*/bin/postgres) ]] || nothing_found "the private root has no PostgreSQL (full log: $log)"
  mv "$building" "$postgres_root"
  trap - EXIT INT TERM HUP
  rm -f "$postgres_root".keyring
  say "the private root is complete: $postgres_root"
}

stop_building() {
  trap - EXIT INT TERM HUP
  [[ -z ${logged_pid:-} ]] || kill -KILL "$logged_pid" 2>/dev/null || true
  # Its last processes are just ending and may still write.
  for _ in {1..20}; do
    rm -rf --one-file-system "$postgres_root.building" 2>/dev/null && break
    sleep 0.2
  done
  rm -f "$postgres_root".keyring
}

bootstrap() { # SUITE PACKAGE DIRECTORY LOG
  local mirror options=(--variant=minbase "--include=$2") script=''
  mirror=$(host_mirror)
  [[ -n $mirror ]] || {
    apt_refresh
    mirror=$(host_mirror)
  }
  [[ -n $mirror ]] || nothing_found "the apt sources of this machine name no mirror of its own release"
  collect_keys
  [[ ! -s $postgres_root.keyring ]] || options+=("--keyring=$postgres_root.keyring")
  # Ubuntu keeps the extension in universe.
  [[ $1 == trixie ]] || options+=('--components=main,universe')
  # An older debootstrap does not know the newer release by name, but how to make it.
  [[ -e /usr/share/debootstrap/scripts/$1 ]] || case $1 in
    trixie) script=/usr/share/debootstrap/scripts/sid ;;
    *) script=/usr/share/debootstrap/scripts/gutsy ;;
  esac

  say "making a private PostgreSQL from $1 (a minute or two, once): $postgres_root"
  # Its own mount and process namespaces: nothing stays mounted or running, whatever ends us.
  local proxy
  proxy=$(apt-config shell p Acquire::http::Proxy | sed -n "s/^p='\(.*\)'$/\1/p")
  http_proxy=${http_proxy:-$proxy} run_logged "$4" setpriv --pdeathsig KILL \
    unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
    debootstrap "${options[@]}" "$1" "$3" "$mirror" $script
}

# Where apt fetches the host's own release from; apt reads its sources of either format.
host_mirror() {
  host_targets | sed -n 's/^Repo-URI: //p' | head -n 1
}

host_targets() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  apt-get indextargets 'Identifier: Packages' "Release: $codename" 'Component: main' 'Target-Of: deb'
}

# The distribution's archive keys, and the key that the machine's own sources name (a
# mirror may sign by itself).
collect_keys() {
  local entry key
  entry=$(host_targets | sed -n 's/^Sourcesentry: \(.*\):[0-9]*$/\1/p' | head -n 1)
  {
    for key in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/ubuntu-archive-keyring.gpg \
      $(grep -ioP 'signed-by[=:]\s*\K/[^],\s]+\.gpg' "$entry" 2>/dev/null | sort -u); do
      [[ ! -f $key ]] || cat "$key"
    done
  } >"$postgres_root.keyring"
}

# --- running PostgreSQL's programs -------------------------------------------

# Runs one of PostgreSQL's programs as the unprivileged user, in place of this shell.
# `view` is what the state directory is called in its eyes.
# `detached` may hold a prefix: a background job of a script leads no process group, so
# setsid needs no fork and the process keeps its id.
detached=()
exec_postgres() { # PROGRAM ARGUMENT...
  local program=$bin/$1
  shift
  exec 8>&- 9>&-
  local run=("${detached[@]}" env "PATH=$bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8)
  cd "$state"
  case $origin in
    "root "*)
      # The mounts are seen in this namespace only, and go with its last process.
      # shellcheck disable=SC2016 # expanded by that shell
      exec "${run[@]}" unshare --mount --propagation private -- /bin/sh -euc '
        root=$1 ids=$2; shift 2
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
        mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$root/run"
        mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
        mount --bind . "$root/var/lib/pika"
        exec chroot --userspec="$ids" --groups= "$root" "$@"
      ' sh "$postgres_root" "$run_uid:$run_gid" "$program" "$@"
      ;;
  esac
  ((EUID == 0)) || exec "${run[@]}" "$program" "$@"
  local as=(setpriv --reuid "$run_uid" --regid "$run_gid" --clear-groups --)
  ! "${as[@]}" test -x "$state" || exec "${run[@]}" "${as[@]}" "$program" "$@"
  # Below a directory that only root enters (/root, mode 0700): show the state elsewhere.
  # shellcheck disable=SC2016 # expanded by that shell
  exec "${run[@]}" unshare --mount --propagation private -- /bin/sh -euc '
    mount -t tmpfs -o mode=0755 tmpfs /mnt
    mkdir /mnt/pika
    mount --bind . /mnt/pika
    cd /mnt/pika
    exec "$@"
  ' sh "${as[@]}" "$program" "$@"
}

postgres_program() { (exec_postgres "$@"); }

view() {
  case $origin in
    "root "*) echo /var/lib/pika ;;
    *)
      if ((EUID != 0)) || setpriv --reuid "$run_uid" --regid "$run_gid" --clear-groups -- test -x "$state"; then
        echo "$state"
      else
        echo /mnt/pika
      fi
      ;;
  esac
}

sql() { # DATABASE [psql ARGUMENT...], statements on stdin
  local database=$1
  shift
  PGPASSWORD=$(<"$state/superuser.password") PGCONNECT_TIMEOUT=10 PGOPTIONS='-c client_min_messages=warning -c log_min_error_statement=panic' \
    postgres_program psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d "$database" "$@"
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
    say "making a new cluster in $state/data"
    # What an interrupted attempt left.
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

# Pika's settings, written anew at every start, then yours: they win.
include_if_exists = 'pika.conf'
include_if_exists = 'local.conf'
CONF
    # Whole or not at all: an interrupted initdb never looks like a cluster.
    mv "$state/data.new" "$state/data"
  fi
  # Another user than last time, for example because the first one was removed.
  if ((EUID == 0)) && [[ $(stat -c %u "$state/data") != "$run_uid" ]]; then
    say "giving the data to user $run_uid"
    chown -R "$run_uid:$run_gid" "$state/data"
  fi
}

write_settings() {
  {
    cat <<CONF
# Written by cluster.sh at every start for the profile "$profile": changes here are lost.
# Put your own settings into local.conf beside this file; it is read after this one.
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
cluster_name = 'pika'
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
jit = off
random_page_cost = 1.1
CONF
    "settings_$profile"
  } >"$state/data/pika.conf.new"
  ((EUID != 0)) || chown "$run_uid:$run_gid" "$state/data/pika.conf.new"
  mv "$state/data/pika.conf.new" "$state/data/pika.conf"
}

# What is lost when the machine fails is only a test's; many databases at a time.
settings_test() {
  cat <<CONF
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
shared_buffers = $(clamp $(($(memory_mb) / 16)) 64 512)MB
max_wal_size = 2GB
max_worker_processes = 24
timescaledb.max_background_workers = 8
max_locks_per_transaction = 256
CONF
}

# The machine is shared with Pika's server and perhaps more, so a quarter of its memory
# at most. Insert-only load: rare checkpoints, compressed WAL; many chunks: many locks.
settings_service() {
  local memory cores share=8
  memory=$(memory_mb) cores=$(nproc)
  ((memory < 7000)) || share=4
  cat <<CONF
# for $memory MB of memory and $cores cores
max_connections = 60
shared_buffers = $(clamp $((memory / share)) 64 8192)MB
effective_cache_size = $(clamp $((memory * 5 / 8)) 256 65536)MB
work_mem = $(clamp $((memory / 512)) 4 64)MB
maintenance_work_mem = $(clamp $((memory / 16)) 32 2047)MB
max_worker_processes = $((3 + 8 + cores + 3))
timescaledb.max_background_workers = 8
max_parallel_workers = $cores
max_parallel_workers_per_gather = $(clamp $((cores / 2)) 1 4)
max_locks_per_transaction = $(clamp $((memory / 16)) 256 1024)
checkpoint_timeout = 30min
max_wal_size = $(clamp "$memory" 1024 8192)MB
min_wal_size = $(clamp $((memory / 8)) 128 1024)MB
wal_buffers = 16MB
wal_compression = $(compression wal_compression)
default_toast_compression = $(compression default_toast_compression)
effective_io_concurrency = 256
autovacuum_max_workers = $(clamp "$cores" 2 4)
autovacuum_naptime = 30s
CONF
}

clamp() { # VALUE LOW HIGH
  echo $(($1 < $2 ? $2 : $1 > $3 ? $3 : $1))
}

# What this machine, or the container we are in, may use.
memory_mb() {
  local kb limit
  kb=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1) || true
  if [[ $limit =~ ^[0-9]{1,15}$ ]] && ((limit / 1024 < kb)); then kb=$((limit / 1024)); fi
  echo $((kb / 1024))
}

# lz4, unless this PostgreSQL was built without it.
compression() { # SETTING
  if postgres_program postgres -D "$(view)/data" -c "$1=lz4" -C "$1" >/dev/null 2>&1; then echo lz4; else echo pglz; fi
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
  # A session of its own, so that the terminal's Ctrl-C does not reach it, and nothing of
  # our environment, which may hold secrets.
  (
    detached=(env -i setsid)
    exec_postgres postgres -D "$(view)/data"
  ) </dev/null >>"$log" 2>&1 &
  local child=$! told=$SECONDS
  until postgres_program pg_isready -q -h 127.0.0.1 -p "$port" -t 2; do
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
  # Repeatable, so that an interrupted first start heals itself.
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
}

main "$@"
