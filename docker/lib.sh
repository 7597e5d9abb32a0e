# shellcheck shell=bash
# Shared by start.sh, test.sh and the scripts in database/: messages, installing missing packages, ports, secrets.
# Sourced, never run.

say() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  while (($#)); do
    printf '       %s\n' "$1" >&2
    shift
  done
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the end of a log, so that a failure explains itself without a second command.
show_tail() { # FILE
  # shellcheck disable=SC2094 # it only names the file
  [[ ! -s $1 ]] || show_tail_of "$1" <"$1"
}

show_tail_of() { # FILE, the text on stdin
  printf '    --- last lines of %s\n' "$1" >&2
  tail -n 20 | sed 's/^/    | /' >&2
}

# Runs COMMAND with its output in LOG, and shows its progress every few seconds. `logged_pid` is its process while it
# runs.
run_logged() { # LOG COMMAND...
  local log=$1 told=$SECONDS failed=0
  shift
  "$@" </dev/null >"$log" 2>&1 8>&- 9>&- &
  logged_pid=$!
  while [[ -d /proc/$logged_pid ]]; do
    sleep 0.3
    ((SECONDS - told < 5)) || {
      told=$SECONDS
      note "$(tail -n 1 "$log" | cut -c 1-100)"
    }
  done
  wait "$logged_pid" || failed=1
  logged_pid=
  return $failed
}

require_linux() {
  [[ $(uname -s) == Linux ]] ||
    die "this script runs on Linux; this is $(uname -s)" \
      "Use the images of docker/compose.yaml instead: docker compose -f docker/compose.yaml up"
}

random_hex() { # BYTES
  od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# Prints the secret kept in FILE, generated on first use. Only its owner can read the file.
secret_file() { # FILE BYTES
  if [[ ! -s $1 ]]; then
    (
      umask 077
      random_hex "$2" >"$1.new"
    )
    mv "$1.new" "$1"
  fi
  cat "$1"
}

# Whether something listens on 127.0.0.1:PORT (or on every address).
port_taken() { # PORT
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the kernel's range of ports for outgoing connections.
free_port() {
  local port
  for _ in {1..50}; do
    port=$((15500 + RANDOM % 17000))
    port_taken "$port" || {
      echo "$port"
      return 0
    }
  done
  die "found no free port between 15500 and 32500"
}

# --- becoming root -----------------------------------------------------------

can_be_root() {
  ((EUID == 0)) || { have sudo && sudo -n true 2>/dev/null; }
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

# --- announcing installations -------------------------------------------------

# Lists what is missing and why it is needed, one LINE each, and asks for confirmation on a terminal unless `assume_yes`
# is set.
agree_to_install() { # LINE...
  (($#)) || return 0
  say "the following is missing and about to be installed:"
  printf '    - %s\n' "$@" >&2
  [[ -t 0 && -t 2 && -z ${assume_yes:-} ]] || return 0
  local answer=n
  read -rp '==> Go on? [Y/n] ' answer || true
  [[ ${answer:-y} == [Yy]* ]] || die "nothing was installed" "Install it yourself and run this again."
}

# Two programs may need the same package.
distinct() { awk '!seen[$0]++'; }

lacking_curl() {
  lacking_command curl "download, and to ask the server" curl ca-certificates
}

lacking_command() { # COMMAND WHY PACKAGE...
  have "$1" || echo "${*:3}, to $2: a package of this distribution (apt-get)"
}

# --- packages of this distribution --------------------------------------------

apt_usable() { have apt-get && can_be_root; }

apt_refreshed=
apt_refresh() {
  [[ -z $apt_refreshed ]] || return 0
  say "refreshing the package lists (apt-get update)"
  local try
  for try in 1 2 3; do
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2; then break; fi
    # Another apt-get may hold the lists (apt-get does not wait for this lock), and one unreachable third-party source
    # must not block the others.
    ((try < 3)) || note "apt-get update reported errors; continuing with the existing lists"
    sleep 5
  done
  apt_refreshed=1
}

# The version apt would install of PACKAGE, or nothing.
apt_candidate() { # PACKAGE
  apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -vx '(none)' || true
}

apt_install() { # PACKAGE...
  local package
  for package; do
    [[ -n $(apt_candidate "$package") ]] || apt_refresh
  done
  say "installing $* (apt-get)"
  local log
  log=$(mktemp)
  if run_logged "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get -y \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"; then
    rm -f "$log"
  else
    show_tail "$log"
    rm -f "$log"
    return 1
  fi
}

# Makes sure that COMMAND exists, by installing PACKAGE... if possible.
need() { # COMMAND PACKAGE...
  local command=$1
  shift
  have "$command" && return 0
  apt_usable || die "$command is missing" "Install it (Debian, Ubuntu: apt-get install $*) and run this again."
  apt_install "$@" || true
  have "$command" ||
    die "could not install $command" "Install it by hand (apt-get install $*) and run this again."
}

# --- the toolchain ------------------------------------------------------------

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

version_at_least() { # VERSION MINIMUM
  [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

rust_version() {
  local version
  version=$(cd "$repo" && cargo --version 2>/dev/null) || return 1
  version=${version#* }
  echo "${version%%[ -]*}"
}

rust_wanted() {
  sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$repo/Cargo.toml" | head -n 1
}

# rustup installs into a directory that may not be in PATH yet.
look_for_rust() {
  version_at_least "$(rust_version || echo 0)" "$(rust_wanted)" ||
    export PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
}

lacking_rust() { # [COMPONENT...]
  local component what
  what="Rust $(rust_wanted), to build Pika"
  (
    look_for_rust
    if ! have cargo && ! have rustup; then
      lacking_curl
      echo "$what: for this user, by rustup (https://rustup.rs)"
    elif ! version_at_least "$(rust_version || echo 0)" "$(rust_wanted)"; then
      echo "$what: a toolchain alongside the older one, by rustup"
    else
      for component; do
        has_component "$component" || echo "cargo ${component/rustfmt/fmt}, for the checks: a component of Rust, by rustup"
      done
    fi
  )
}

has_component() { # COMPONENT
  cargo "${1/rustfmt/fmt}" --version >/dev/null 2>&1
}

# Makes sure that there is a cargo as new as the workspace requires, with COMPONENTs.
need_rust() { # [COMPONENT...]
  local wanted found component
  wanted=$(rust_wanted)
  look_for_rust
  if ! have cargo && ! have rustup; then
    install_rustup
  fi
  found=$(rust_version || echo 0)
  if ! version_at_least "$found" "$wanted"; then
    have rustup || die "Rust $wanted or newer is needed; this machine has ${found/#0/none that works}" \
      "Install it from https://rustup.rs and run this again."
    say "installing Rust $wanted (rustup)"
    rustup toolchain install "$wanted" --profile minimal >&2 || die "rustup could not install Rust $wanted"
    export RUSTUP_TOOLCHAIN=$wanted
  fi
  for component; do
    has_component "$component" && continue
    have rustup || die "cargo ${component/rustfmt/fmt} is missing" "Install the Rust component $component and run this again."
    say "installing $component (rustup)"
    rustup component add "$component" >&2 || die "rustup could not add $component"
  done
}

install_rustup() {
  local script
  need curl curl ca-certificates
  say "installing Rust for this user (rustup)"
  script=$(mktemp)
  # Into a file first: an incomplete download must not be run.
  if ! curl --proto '=https' --tlsv1.2 -sSf --retry 2 --max-time 60 -o "$script" https://sh.rustup.rs ||
    ! sh "$script" -y --profile minimal --no-modify-path >&2; then
    rm -f "$script"
    die "Rust could not be installed" "Install it from https://rustup.rs (or your distribution) and run this again."
  fi
  rm -f "$script"
}

lacking_c_compiler() {
  lacking_command cc "link what Rust compiles" build-essential
}

need_c_compiler() {
  need cc build-essential
}

# --- the console -------------------------------------------------------------

node_version() {
  local version
  version=$(node --version 2>/dev/null) || return 1
  echo "${version#v}"
}

# Makes sure that there are npm and Node.js VERSION or newer.
need_node() { # VERSION
  need node nodejs
  need npm npm
  version_at_least "$(node_version)" "$1" || die "Node.js $1 or newer is needed; this machine has $(node_version)"
}
