#!/bin/sh
# Installs Pika's agent on this machine, as a service of systemd or OpenRC; updates it; removes it.
#
#   PIKA_SERVER=https://pika.example.org sh agent.sh            installs the agent, enrolls it and starts it
#   sh agent.sh --update       replaces it by the server's version, if that is newer and its signature is right
#   sh agent.sh --remove       removes it, and asks whether its identity is to be removed, too
#
#   --dry-run     downloads and checks, says what would be done, and changes nothing
#   --purge       with --remove: removes identity, unsent samples and configuration without asking
#   --version     prints the version of this script
#   --help        prints this
#
# The enrollment token is read from PIKA_ENROLLMENT_TOKEN, from the file that PIKA_ENROLLMENT_TOKEN_FILE names, or asked
# for on the terminal; it appears in no URL and no list of processes. If it carries the hash of the server's key, that
# key is trusted, and no authority.
#
# The files come from PIKA_SERVER/install/, over https except on this machine, and are compared with its SHA256SUMS.
# An agent that is installed already also checks the signature, if it was built with a release key.
set -eu

version=0.2.0

program=/usr/local/bin/pika-agent
library=/usr/local/lib/pika-agent
state=/var/lib/pika-agent
user=pika-agent
unit=/etc/systemd/system/pika-agent.service
openrc_script=/etc/init.d/pika-agent

action=install dry_run='' purge='' server='' pin='' token='' downloads='' architecture='' service=''

main() {
  for option; do
    case $option in
      --update) action=update ;;
      --remove) action=remove ;;
      --dry-run) dry_run=1 ;;
      --purge) purge=1 ;;
      --version) echo "$version" && return ;;
      --help) help && return ;;
      *) die "unknown option: $option (see --help)" ;;
    esac
  done
  [ -z "$purge" ] || [ "$action" = remove ] || die "--purge goes with --remove"
  [ "$(uname -s)" = Linux ] || die "the agent of this script runs on Linux; this is $(uname -s)"
  [ -n "$dry_run" ] || [ "$(id -u)" = 0 ] || die "run this as root"
  [ ! -e /usr/bin/pika-agent ] || die "pika-agent was installed by a package: use the package manager instead"
  find_service
  umask 022
  case $action in
    install) install_agent ;;
    update) update_agent ;;
    remove) remove_agent ;;
  esac
}

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Does something, or says what it would do.
run() { step "run: $*" "$@"; }

step() { # TEXT COMMAND...
  if [ -n "$dry_run" ]; then
    say "would $1"
  else
    shift
    "$@"
  fi
}

help() { sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; }

find_service() {
  if [ -d /run/systemd/system ]; then
    service=systemd
  elif have openrc-run && have rc-service; then
    service=openrc
  fi
}

# --- installing ---------------------------------------------------------------

install_agent() {
  server=${PIKA_SERVER:-}
  [ -n "$server" ] || die "set PIKA_SERVER to the server's address, for example https://pika.example.org"
  server=${server%/}
  if is_enrolled; then pin=$(identity_field keyPin); else read_token; fi
  download
  check_signature ''
  add_user
  step "install $program" put_program
  step "keep this script as $library/agent.sh" put "$downloads/agent.sh" "$library/agent.sh" 0755
  prepare_state
  if is_enrolled; then
    say "this machine is enrolled already"
  else
    step "enroll this machine at $server" enroll
  fi
  start_service
  say "to remove the agent: sh $library/agent.sh --remove"
}

is_enrolled() { [ -e "$state/identity.json" ]; }

read_token() {
  token=${PIKA_ENROLLMENT_TOKEN:-}
  if [ -z "$token" ] && [ -n "${PIKA_ENROLLMENT_TOKEN_FILE:-}" ]; then
    token=$(cat "$PIKA_ENROLLMENT_TOKEN_FILE")
  fi
  if [ -z "$token" ] && [ -z "$dry_run" ]; then
    ask_token
  fi
  # What is after the dot is the hash of the server's key, and no secret.
  case $token in
    *.*) pin=${token#*.} ;;
  esac
}

ask_token() {
  (: </dev/tty) 2>/dev/null ||
    die "there is no terminal to ask for the enrollment token: set PIKA_ENROLLMENT_TOKEN_FILE to a file that holds it"
  printf 'Enrollment token: ' >/dev/tty
  trap 'stty echo </dev/tty' EXIT INT TERM
  stty -echo </dev/tty
  IFS= read -r token </dev/tty || true
  stty echo </dev/tty
  trap - EXIT INT TERM
  echo >/dev/tty
  [ -n "$token" ] || die "an enrollment token is needed; an administrator makes one in the console"
}

# The token is in the environment of this one command.
enroll() {
  PIKA_ENROLLMENT_TOKEN="$token" "$program" enroll --server "$server" --state-dir "$state" ||
    die "the machine is not enrolled. Run this again, or: sh $library/agent.sh --remove"
}

add_user() {
  if ! grep -q "^$user:" /etc/passwd; then
    if have useradd; then
      run useradd --system --user-group --no-create-home --home-dir "$state" --shell /usr/sbin/nologin "$user"
    else
      grep -q "^$user:" /etc/group || run addgroup -S "$user"
      run adduser -S -D -H -h "$state" -s /sbin/nologin -G "$user" "$user"
    fi
  fi
}

prepare_state() {
  # A link is that of an older unit with a dynamic user; systemd moves the directory back itself.
  [ -e "$state" ] || run mkdir -m 0700 "$state"
  [ -h "$state" ] || run chown "$user:$user" "$state"
}

# Copies FILE to TARGET with MODE, never half of it, and with the label that SELinux expects there.
put() { # FILE TARGET MODE
  mkdir -p "${2%/*}"
  cp "$1" "$2.new"
  chmod "$3" "$2.new"
  mv -f "$2.new" "$2"
  if have restorecon; then restorecon -F "$2" || true; fi
}

# The new program has to run before it takes the place of the old one, which is kept.
put_program() {
  put "$downloads/pika-agent-$architecture-linux" "$program.next" 0755
  "$program.next" --version >/dev/null 2>&1 || {
    rm -f "$program.next"
    die "the program from the server does not run on this machine"
  }
  [ ! -e "$program" ] || cp -p "$program" "$program.old"
  mv -f "$program.next" "$program"
  if have restorecon; then restorecon -F "$program" || true; fi
}

# --- the service ---------------------------------------------------------------

start_service() {
  case $service in
    systemd)
      step "install $unit" put "$downloads/pika-agent.service" "$unit" 0644
      run systemctl daemon-reload
      run systemctl --quiet enable pika-agent
      ;;
    openrc)
      step "install $openrc_script" put "$downloads/pika-agent.openrc" "$openrc_script" 0755
      run rc-update --quiet add pika-agent default
      ;;
    *)
      say "there is neither systemd nor OpenRC: have $program run --state-dir $state started as $user"
      return
      ;;
  esac
  step "start the agent" restart_service
  step "wait until it runs" is_running || die "the agent does not run; its log says why"
}

restart_service() {
  case $service in
    systemd) systemctl restart pika-agent ;;
    openrc) rc-service --quiet pika-agent restart ;;
  esac
}

# Whether the service runs, and goes on running for a few seconds.
is_running() {
  for _ in 1 2 3 4 5; do
    sleep 1
    case $service in
      systemd) systemctl --quiet is-active pika-agent || return 1 ;;
      openrc) rc-service --quiet pika-agent status >/dev/null || return 1 ;;
    esac
  done
}

stop_service() {
  case $service in
    systemd)
      [ ! -e "$unit" ] || run systemctl --quiet disable --now pika-agent
      run rm -f "$unit"
      run systemctl daemon-reload
      ;;
    openrc)
      [ ! -e "$openrc_script" ] || run rc-service --quiet pika-agent stop
      [ ! -e "$openrc_script" ] || run rc-update --quiet del pika-agent default
      run rm -f "$openrc_script"
      ;;
  esac
}

# --- downloading ----------------------------------------------------------------

download() {
  check_address
  find_architecture
  downloads=$(mktemp -d)
  trap 'rm -rf "$downloads"' EXIT
  trap 'exit 130' INT TERM
  fetch SHA256SUMS ||
    die "$server offers no agents, or cannot be reached; its answer to $server/install/SHA256SUMS may say more"
  # Only for those who can check it.
  fetch SHA256SUMS.sig 2>/dev/null || true
  for file in agent.sh VERSION pika-agent.service pika-agent.openrc "pika-agent-$architecture-linux"; do
    fetch "$file" || die "the server does not offer $file"
    check_sum "$file"
  done
  say "downloaded pika-agent $(cat "$downloads/VERSION") for $architecture; its checksums are those of the server"
}

check_address() {
  case $server in
    https://*) ;;
    http://*)
      is_this_machine ||
        die "over plain http anybody on the way could replace the program: use https, or install it by hand"
      ;;
    *) die "PIKA_SERVER must begin with https://" ;;
  esac
}

is_this_machine() {
  host=${server#http://}
  host=${host%%/*}
  case $host in
    \[::1\] | \[::1\]:*) return ;;
  esac
  host=${host%:*}
  [ "$host" != localhost ] || return 0
  case $host in
    *[!0-9.]*) return 1 ;;
    127.*) return ;;
  esac
  return 1
}

find_architecture() {
  case $(uname -m) in
    x86_64 | amd64) architecture=x86_64 ;;
    aarch64 | arm64) architecture=aarch64 ;;
    *) die "there is no agent for $(uname -m); it can be built from source" ;;
  esac
}

fetch() { # NAME
  if have curl; then
    fetch_with curl --fail --silent --show-error --proto =http,https --connect-timeout 20 --max-time 600 \
      --output "$downloads/$1" "$server/install/$1" --insecure
  elif have wget && wget --version 2>/dev/null | grep -q GNU; then
    fetch_with wget --quiet --tries=2 --timeout=60 --max-redirect=0 \
      --output-document="$downloads/$1" "$server/install/$1" --no-check-certificate
  else
    die "curl (or GNU wget) is needed: others do not verify the server's certificate"
  fi
}

# The last argument trusts any authority, and is given only together with the hash of the key.
fetch_with() { # COMMAND... INSECURE
  count=$#
  while [ "$count" -gt 1 ]; do
    set -- "$@" "$1"
    shift
    count=$((count - 1))
  done
  insecure=$1
  shift
  if [ -n "$pin" ]; then
    set -- "$@" "$insecure" --pinnedpubkey "sha256//$(printf '%s' "$pin" | tr '_-' '/+')="
  fi
  "$@"
}

check_sum() { # NAME
  expected=$(awk -v name="$1" '$2 == name || $2 == "*" name { print $1 }' "$downloads/SHA256SUMS")
  [ -n "$expected" ] || die "SHA256SUMS of the server does not list $1"
  [ "$(sum "$downloads/$1")" = "$expected" ] || die "$1 is not what SHA256SUMS says; nothing was installed"
}

sum() { # FILE
  if have sha256sum; then
    sha256sum "$1"
  elif have shasum; then
    shasum -a 256 "$1"
  elif have openssl; then
    openssl dgst -sha256 -r "$1"
  else
    die "sha256sum is needed to check what was downloaded"
  fi | cut -d ' ' -f 1
}

# Has the installed agent check the signature of the release. It answers 3 if it was built without a release key.
check_signature() { # REQUIRED
  if [ ! -x "$program" ]; then
    return
  fi
  result=0
  "$program" verify "$downloads" >&2 || result=$?
  case $result in
    0) say "the signature is right" ;;
    3) [ -z "$1" ] || die "this agent was built without a release key, so it cannot check updates: install it again instead" ;;
    *) die "the release is refused; nothing was changed" ;;
  esac
}

# --- updating -------------------------------------------------------------------

update_agent() {
  [ -x "$program" ] || die "the agent is not installed"
  is_enrolled || die "the agent is not enrolled"
  server=${PIKA_SERVER:-$(identity_field server)}
  server=${server%/}
  pin=$(identity_field keyPin)
  download
  check_signature required
  [ "$("$program" --version)" != "pika-agent $(cat "$downloads/VERSION")" ] || {
    say "the agent is up to date"
    return
  }
  step "replace $program" put_program
  step "replace $library/agent.sh" put "$downloads/agent.sh" "$library/agent.sh" 0755
  [ -n "$service" ] || {
    say "there is neither systemd nor OpenRC: restart the agent"
    return
  }
  step "restart the agent" restart_service
  step "wait until it runs" is_running || {
    run mv -f "$program.old" "$program"
    run restart_service
    die "the new version does not keep running; the old one was put back"
  }
}

identity_field() { # NAME
  sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\\([^\"]*\\)\".*/\\1/p" "$state/identity.json" | head -n 1
}

# --- removing -------------------------------------------------------------------

remove_agent() {
  stop_service
  run rm -f "$program" "$program.old" "$program.next" /etc/pika/agent.env
  run rm -rf "$library"
  [ -z "$purge" ] || run rm -f /etc/pika/agent.yaml
  if [ -n "$purge" ] || ! is_enrolled || agrees_to_forget; then
    run rm -rf "$state"
    remove_user
  else
    say "kept $state with the machine's identity; --remove --purge removes it"
  fi
  # Others may have files there.
  [ -n "$dry_run" ] || rmdir /etc/pika 2>/dev/null || true
  say "the agent is removed; an administrator can delete the machine from the fleet in the console"
}

agrees_to_forget() {
  [ -z "$dry_run" ] && (: </dev/tty) 2>/dev/null || return 1
  printf 'Remove the identity and unsent samples in %s, too? [y/N] ' "$state" >/dev/tty
  IFS= read -r answer </dev/tty || answer=
  case $answer in
    [Yy]*) return ;;
  esac
  return 1
}

remove_user() {
  grep -q "^$user:" /etc/passwd || return 0
  if have userdel; then run userdel "$user"; else run deluser "$user"; fi
  # Most of them have removed the group with it.
  ! grep -q "^$user:" /etc/group || run delgroup "$user"
}

main "$@"
