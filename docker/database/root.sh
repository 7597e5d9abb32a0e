#!/usr/bin/env bash
# Creates a private root: a directory with a small system that has PostgreSQL and TimescaleDB, of a newer release of
# this machine's own distribution, by debootstrap and from the mirror that apt uses. Nothing of another release is put
# onto the host.
#
#   root.sh DIRECTORY
#
# Does nothing if the directory exists. The log is DIRECTORY.log.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=docker/lib.sh
source "$here/../lib.sh"

root='' building='' keyring='' log='' logged_pid=''

main() {
  (($# == 1)) || {
    printf 'root.sh: needs the DIRECTORY to make, and nothing else\n' >&2
    exit 2
  }
  root=$1 building=$1.building keyring=$1.keyring log=$1.log
  mkdir -p "$(dirname "$root")"
  exec 8>"$root.lock"
  flock -n 8 || {
    say "waiting for another build of $root"
    flock 8
  }
  # It is renamed into place only when complete, so if it exists, it is complete.
  [[ -d $root ]] || build
}

build() {
  local suites suite
  case $(. /etc/os-release && echo "${ID:-}") in
    debian) suites=trixie:17 ;;
    ubuntu) suites='resolute:18 questing:17' ;;
    *) die "a private PostgreSQL needs packages of Debian or Ubuntu, and this machine is neither" ;;
  esac
  have debootstrap || apt_install debootstrap || die "debootstrap could not be installed"
  trap 'stop_building; exit 130' INT TERM HUP
  trap stop_building EXIT
  for suite in $suites; do
    # Left behind by an interrupted build; we hold the lock, so nobody is using it.
    rm -rf --one-file-system "$building"
    bootstrap "${suite%:*}" "postgresql-${suite#*:}-timescaledb" && break
    show_tail "$log"
    [[ $suite != "${suites##* }" ]] || die "no private root could be created (full log: $log)"
  done
  # Only PostgreSQL is needed: no default cluster, no package archives.
  rm -rf "$building"/var/cache/apt/archives/*.deb "$building"/var/lib/apt/lists/* \
    "$building"/var/lib/postgresql/*/main "$building"/etc/postgresql/*/main
  mkdir -p "$building/var/lib/pika"
  [[ -x $(echo "$building"/usr/lib/postgresql/*/bin/postgres) ]] || die "the private root has no PostgreSQL (full log: $log)"
  mv "$building" "$root"
  trap - EXIT INT TERM HUP
  rm -f "$keyring"
  say "the private PostgreSQL is complete: $root"
}

stop_building() {
  trap - EXIT INT TERM HUP
  if [[ -n $logged_pid ]]; then
    kill -KILL "$logged_pid" 2>/dev/null || true
    wait "$logged_pid" 2>/dev/null || true
  fi
  # Its last processes may still be writing.
  for _ in {1..20}; do
    rm -rf --one-file-system "$building" 2>/dev/null && break
    sleep 0.2
  done
  rm -f "$keyring"
}

bootstrap() { # SUITE PACKAGE
  local mirror options=(--variant=minbase "--include=$2") script=''
  mirror=$(host_mirror)
  [[ -n $mirror ]] || {
    apt_refresh
    mirror=$(host_mirror)
  }
  [[ -n $mirror ]] || die "the apt sources of this machine name no mirror of its own release"
  collect_keys
  [[ ! -s $keyring ]] || options+=("--keyring=$keyring")
  # Ubuntu keeps the extension in universe.
  [[ $1 == trixie ]] || options+=('--components=main,universe')
  # An older debootstrap lacks the newer release's name but can still build it.
  [[ -e /usr/share/debootstrap/scripts/$1 ]] || case $1 in
    trixie) script=/usr/share/debootstrap/scripts/sid ;;
    *) script=/usr/share/debootstrap/scripts/gutsy ;;
  esac

  say "creating a private PostgreSQL from $1 (a minute or two, once): $root"
  # In its own mount and process namespaces, so that nothing stays mounted or running however this script ends.
  local proxy
  proxy=$(apt-config shell p Acquire::http::Proxy | sed -n "s/^p='\(.*\)'$/\1/p")
  http_proxy=${http_proxy:-$proxy} run_logged "$log" setpriv --pdeathsig KILL \
    unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
    debootstrap "${options[@]}" "$1" "$building" "$mirror" $script
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
  } >"$keyring"
}

main "$@"
