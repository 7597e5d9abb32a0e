#!/usr/bin/env bash
# Builds what a server needs to install agents: a static pika-agent for each architecture, the script that installs it,
# services for systemd and OpenRC, SHA256SUMS, and a signature if there is a release key.
#
#   build.sh [--host-only] [--programs DIRECTORY] [DIRECTORY]
#
#   --host-only           only for this machine's architecture
#   --programs DIRECTORY  takes the pika-agent there for this machine's architecture, instead of building any
#   DIRECTORY             where to put them (default target/release/pika-install); the server looks beside itself
#                         unless server.install_dir says otherwise
#
# A static program (musl) needs `rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl`, and for another
# architecture than this machine's a C compiler for it: zig with cargo-zigbuild, or gcc-aarch64-linux-gnu and the like.
# Where that is missing, this machine's own pika-agent is built for its C library, and a foreign one is left out; which
# it was is said, and stands in TARGETS.
#
# PIKA_RELEASE_KEY_FILE names a private ed25519 key in PEM (openssl genpkey -algorithm ed25519 -out FILE). Its public half
# is compiled into the agent, and SHA256SUMS is signed with it.
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$repo"

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

host_only='' programs='' to=''
while (($#)); do
  case $1 in
    --host-only) host_only=1 ;;
    --programs)
      programs=${2:?--programs needs a directory}
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*) die "unknown option: $1" ;;
    *) to=$1 ;;
  esac
  shift
done
target=${CARGO_TARGET_DIR:-$repo/target}
to=${to:-$target/release/pika-install}
host=$(uname -m)
version=$(sed -n 's/^version *= *"\(.*\)".*/\1/p' Cargo.toml | head -n 1)

# The public key as the agent takes it: 32 bytes in base64.
if [[ -n ${PIKA_RELEASE_KEY_FILE:-} ]]; then
  PIKA_RELEASE_PUBLIC_KEY=$(openssl pkey -in "$PIKA_RELEASE_KEY_FILE" -pubout -outform DER | tail -c 32 | base64)
  export PIKA_RELEASE_PUBLIC_KEY
fi

# Builds for TARGET with COMMAND, and puts the program into the directory.
build() { # ARCHITECTURE TARGET COMMAND...
  local architecture=$1 triple=$2
  shift 2
  say "building pika-agent for $triple"
  "$@" --release --locked --package pika-agent --target "$triple" >&2 || return 1
  add "$architecture" "$triple" "$target/$triple/release/pika-agent"
}

add() { # ARCHITECTURE TARGET PROGRAM
  install -m 0755 "$3" "$new/pika-agent-$1-linux"
  echo "$1 $2" >>"$new/TARGETS"
}

has_target() { # TRIPLE
  have rustup && (cd "$repo" && rustup target list --installed 2>/dev/null) | grep -qx "$1"
}

build_static() { # ARCHITECTURE
  local triple=$1-unknown-linux-musl compiler name
  has_target "$triple" || return 1
  name=${triple//-/_}
  if [[ $1 == "$host" ]]; then
    # Rust brings its own C library. What is compiled from C calls nothing but that, unless it is fortified.
    build "$1" "$triple" env "CC_$name=${CC:-cc}" "CFLAGS_$name=-U_FORTIFY_SOURCE" cargo build
  elif have cargo-zigbuild && { have zig || python3 -c 'import ziglang' 2>/dev/null; }; then
    build "$1" "$triple" cargo zigbuild
  else
    compiler=$1-linux-gnu-gcc
    have "$compiler" || return 1
    build "$1" "$triple" env "CC_$name=$compiler" "CFLAGS_$name=-U_FORTIFY_SOURCE" \
      "CARGO_TARGET_$(tr '[:lower:]' '[:upper:]' <<<"$name")_LINKER=$compiler" cargo build
  fi
}

build_for_host() {
  local triple
  triple=$(cd "$repo" && rustc -vV | sed -n 's/^host: //p')
  note "not a static program: it needs a C library as new as this machine's"
  build "$host" "$triple" cargo build
}

new=$to.new
rm -rf "$new"
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
if [[ -n $programs ]]; then
  add "$host" "this machine's" "$programs/pika-agent"
else
  need_rust
  for architecture in x86_64 aarch64; do
    [[ -z $host_only || $architecture == "$host" ]] || continue
    build_static "$architecture" && continue
    if [[ $architecture == "$host" ]]; then
      build_for_host || die "pika-agent could not be built"
    else
      note "no pika-agent for $architecture: see the beginning of docker/agent/build.sh for what is missing"
    fi
  done
fi

install -m 0755 docker/agent/agent.sh "$new/agent.sh"
install -m 0644 docker/systemd/pika-agent.service "$new/pika-agent.service"
install -m 0644 docker/openrc/pika-agent "$new/pika-agent.openrc"
echo "$version" >"$new/VERSION"
(cd "$new" && sha256sum -- * >SHA256SUMS)
if [[ -n ${PIKA_RELEASE_KEY_FILE:-} ]]; then
  openssl pkeyutl -sign -rawin -inkey "$PIKA_RELEASE_KEY_FILE" -in "$new/SHA256SUMS" | base64 -w 0 >"$new/SHA256SUMS.sig"
else
  note "not signed: PIKA_RELEASE_KEY_FILE is not set"
fi
rm -rf "$to"
mv "$new" "$to"
trap - EXIT
say "agents can be installed from $to:"
sed 's/^/    /' "$to/TARGETS" >&2
