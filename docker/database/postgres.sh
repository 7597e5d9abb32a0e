# shellcheck shell=bash
# Chooses the PostgreSQL for a cluster and runs its programs. Sourced by cluster.sh, which sets these variables:
#   origin     "root DIR" (a private root) or "host DIR" (DIR holds bin/postgres)
#   bin        the programs' directory, as the programs see it
#   major      the version that created the data, or nothing
#   run_uid, run_gid   the user that PostgreSQL runs as
# shellcheck disable=SC2154 # state is cluster.sh's

readonly supported_majors='18 17 16'
readonly oldest_timescaledb=2.19

# --- where PostgreSQL comes from ---------------------------------------------

recall_origin() {
  major=$(<"$state/data/PG_VERSION")
  origin=$(<"$state/origin")
  use_origin
}

choose_origin() { # the script's ARGUMENT...
  if ! find_origin; then
    say "this machine has no PostgreSQL with TimescaleDB that Pika can use; getting one"
    install_from_distribution
    [[ -n $origin ]] || make_private_root "$@"
  fi
  case $origin in
    "root "*) enter_private_root "$@" ;;
    *) say "using PostgreSQL of this machine: ${origin#host }" ;;
  esac
  use_origin
  printf '%s\n' "$origin" >"$state/origin"
}

# Sets origin to what exists already, without creating anything.
find_origin() {
  major=
  [[ ! -f $state/data/PG_VERSION ]] || major=$(<"$state/data/PG_VERSION")
  # Prefer what created the data: another build may have an older TimescaleDB.
  origin=''
  [[ ! -f $state/origin ]] || origin=$(<"$state/origin")
  if origin_usable || find_on_host; then return 0; fi
  origin=''
  [[ ! -d $postgres_root ]] || origin="root $postgres_root"
  [[ -n $origin ]]
}

origin_usable() {
  case $origin in
    "root "*) root_bin "${origin#root }" >/dev/null ;;
    "host "*) host_usable "${origin#host }" ;;
    *) return 1 ;;
  esac
}

use_origin() {
  case $origin in
    "root "*)
      postgres_root=${origin#root }
      bin=$(root_bin "$postgres_root")
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

# What is installed on the machine.

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
    return 0
  done
  return 1
}

host_usable() { # DIRECTORY
  local version share control='' library=''
  [[ -x $1/bin/postgres && -x $1/bin/initdb && -x $1/bin/psql ]] || return 1
  version=$("$1/bin/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/') || return 1
  [[ " $(wanted_majors) " == *" $version "* ]] || return 1
  # Debian keeps a version's other files apart from its binaries.
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

  # Debian's packages create and start a cluster "main"; that is not ours to decide.
  local quiet=/etc/postgresql-common/createcluster.d/zz-pika.conf
  as_root mkdir -p "${quiet%/*}"
  echo 'create_main_cluster = false' | as_root tee "$quiet" >/dev/null
  # If interrupted, let apt-get finish what it began.
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

make_private_root() { # the script's ARGUMENT...
  have apt-get || nothing_found "this machine has no PostgreSQL with TimescaleDB, and is neither Debian nor Ubuntu"
  need_root "$@"
  "$here/root.sh" "$postgres_root" 9>&- || nothing_found "this machine has no PostgreSQL with TimescaleDB, and a private one could not be made (see above)"
  origin="root $postgres_root"
}

# Whether the private root can be used, which needs root.
enter_private_root() { # the script's ARGUMENT...
  local root=${origin#root }
  need_root "$@"
  unshare --mount true 2>/dev/null ||
    nothing_found "a private PostgreSQL needs a mount namespace, and this machine (a container?) allows none"
  root_bin "$root" >/dev/null || nothing_found "$root holds no PostgreSQL ${major:+$major }with TimescaleDB${major:+, which the data in $state was made by}"
}

need_root() { # the script's ARGUMENT...
  ((EUID != 0)) || return 0
  can_be_root || nothing_found "this machine has no PostgreSQL with TimescaleDB, and a private one needs root (or sudo without a password)"
  flock -u 9
  become_root "$@"
}

root_bin() { # ROOT
  local directory wanted
  for wanted in $(wanted_majors); do
    directory=/usr/lib/postgresql/$wanted
    [[ -x $1$directory/bin/postgres && -f $1$directory/lib/timescaledb.so ]] &&
      echo "$directory/bin" && return 0
  done
  return 1
}

# --- running PostgreSQL's programs -------------------------------------------

# Runs one of PostgreSQL's programs as the unprivileged user, in place of this shell.
# `view` is the path of the state directory as that program sees it. `detached` may hold a prefix: a background job of a
# script leads no process group, so setsid needs no fork and the process keeps its id.
detached=()
exec_postgres() { # PROGRAM ARGUMENT...
  local program=$bin/$1
  shift
  exec 9>&-
  local run=("${detached[@]}" env "PATH=$bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8)
  cd "$state" || exit
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
