#!/usr/bin/env bash
# Runs every check of the repository, the fastest first. Installs what it needs, and
# creates a test database that it always removes.
#
#   ./test.sh [--yes] [-- ARGUMENT...]
#
#   --yes         installs what is missing without asking
#   ARGUMENT...   goes to cargo test
#
# Environment: PIKA_TEST_DATABASE_URL, a superuser's URL of a database with TimescaleDB
# to use instead of a new one; CARGO_TARGET_DIR and the like.
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/docker/lib.sh"
cd "$repo"

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

assume_yes=''
if [[ ${1:-} == --yes ]]; then
  assume_yes=1
  shift
fi
case ${1:-} in
  '') ;;
  --) shift ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    printf 'test.sh: unknown option: %s\n\n' "$1" >&2
    usage >&2
    exit 2
    ;;
esac

# --- one step after the other ------------------------------------------------

step_pid='' scratch='' timings=()

clean_up() {
  local status=$?
  set +e
  trap - EXIT
  trap '' INT TERM HUP PIPE
  if [[ -n $step_pid ]]; then
    kill -TERM -- "-$step_pid" 2>/dev/null
    wait "$step_pid" 2>/dev/null
  fi
  if [[ -n $scratch ]]; then
    [[ ! -d $scratch/database ]] || docker/database/cluster.sh stop --state "$scratch/database"
    rm -rf "$scratch" 2>/dev/null || as_root rm -rf "$scratch"
  fi
  exit "$status"
}

# Runs COMMAND in its own session, so that an interruption ends all of it at once.
step() { # NAME COMMAND...
  local name=$1 began=$SECONDS status=0
  shift
  say "$name"
  setsid "$@" </dev/null &
  step_pid=$!
  wait "$step_pid" || status=$?
  step_pid=
  ((status == 0)) || die "failed after $((SECONDS - began)) s: $name"
  timings+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
}

# --- the checks --------------------------------------------------------------

shell_scripts() { find start.sh test.sh .ci/run docker openapi -name node_modules -prune -o -type f \( -name '*.sh' -o -path .ci/run \) -print; }

check_shell() {
  local scripts script
  mapfile -t scripts < <(shell_scripts)
  say "bash -n"
  for script in "${scripts[@]}"; do bash -n "$script"; done
  if ! have shellcheck && apt_usable; then apt_install shellcheck || true; fi
  if have shellcheck; then
    step "shellcheck" shellcheck --external-sources "${scripts[@]}"
  else
    note "shellcheck is not available; skipped"
  fi
}

lacking() {
  lacking_command shellcheck "check the shell scripts" shellcheck
  lacking_rust rustfmt clippy
  lacking_portable_target
  lacking_c_compiler
  lacking_command node "build the console, run TimescaleDB's Community edition, and check the API" nodejs
  lacking_command npm "install what that takes" npm
  lacking_curl
  lacking_command jq "check the API" jq
  lacking_command psql "check the API" postgresql-client
  [[ -n ${PIKA_CHROMIUM:-} ]] || lacking_command chromium "test the console" chromium fonts-noto-cjk
  lacking_command python3 "check the API" python3 python3-venv
  [[ -n ${PIKA_TEST_DATABASE_URL:-} ]] || docker/database/cluster.sh needs --state "$scratch/database"
}

# A target other than Linux, for which the agent's portable half is checked.
portable_target=x86_64-apple-darwin

has_portable_target() { rustup target list --installed 2>/dev/null | grep -qx "$portable_target"; }

lacking_portable_target() {
  has_portable_target || { have cargo && ! have rustup; } ||
    echo "Rust's library for $portable_target, to check the agent's portable half: by rustup"
}

check_portable() {
  if ! has_portable_target && ! { have rustup && rustup target add "$portable_target" >&2; }; then
    note "Rust's library for $portable_target is not available: the agent's portable half is not checked for it"
    return
  fi
  # Nothing is linked, so no C compiler for that target is needed.
  CC_x86_64_apple_darwin=true AR_x86_64_apple_darwin=true \
    step "cargo clippy ($portable_target)" \
    cargo clippy --package pika-agent --target "$portable_target" -- -D warnings
}

# The browser for the console's tests: Debian's Chromium, or the one that PIKA_CHROMIUM names.
need_chromium() {
  [[ -n ${PIKA_CHROMIUM:-} ]] || need chromium chromium fonts-noto-cjk
  PIKA_CHROMIUM=$(command -v "${PIKA_CHROMIUM:-chromium}") || die "PIKA_CHROMIUM is not a program"
  export PIKA_CHROMIUM
}

# All temporary files of the checks go into one folder, which clean_up removes.
make_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/pika-test.XXXXXX")
  export TMPDIR=$scratch/tmp
  mkdir "$TMPDIR"
  # PostgreSQL's user passes through.
  chmod 0711 "$scratch" "$TMPDIR"
}

# The tests clean up after themselves, wherever they are run from. Their helpers may still be removing files.
check_leftovers() {
  local left deadline=$((SECONDS + 10))
  while left=$(find "$TMPDIR" -mindepth 1 -maxdepth 1 -printf '%f\n') && [[ -n $left ]]; do
    ((SECONDS < deadline)) || die "the tests left temporary files behind:" "$left"
    sleep 0.2
  done
}

start_database() {
  [[ -z ${PIKA_TEST_DATABASE_URL:-} ]] || return 0
  (umask 077 && : >"$scratch/url")
  step "test database" docker/database/cluster.sh start --state "$scratch/database" --port 0 --profile test >"$scratch/url"
  PIKA_TEST_DATABASE_URL=$(<"$scratch/url")
  export PIKA_TEST_DATABASE_URL
}

main() {
  require_linux
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # The tests must not see the caller's settings.
  unset DATABASE_URL
  # Backtraces with lines, without the size of full debug information.
  export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-line-tables-only}

  make_scratch
  local lines
  mapfile -t lines < <(lacking | distinct)
  agree_to_install "${lines[@]}"
  check_shell
  need_rust rustfmt clippy
  need_c_compiler
  # What the console's tests need; building it needs less, see docker/start/console.sh.
  need_node 20.19
  need_chromium
  step "cargo fmt" cargo fmt --all --check
  step "console: packages" docker/console.sh packages
  step "console: build" docker/console.sh build
  step "console: types" npm run --silent --prefix server/web generate
  step "console: check" npm run --silent --prefix server/web check
  step "console: lint" npm run --silent --prefix server/web lint
  step "console: unit tests" npm test --silent --prefix server/web
  start_database
  step "npm ci (server/tests/community)" npm ci --prefix server/tests/community --no-audit --no-fund
  step "cargo clippy" cargo clippy --workspace --all-targets -- -D warnings
  check_portable
  RUSTDOCFLAGS='-D warnings' step "cargo doc" cargo doc --workspace --no-deps --document-private-items
  # The API checks and the end-to-end tests run the programs.
  step "cargo build" cargo build --workspace
  step "openapi/check.sh" openapi/check.sh
  step "console: scenarios" npm run --silent --prefix server/web e2e -- --project=desktop-light --project=phone
  step "cargo test" cargo test --workspace "$@"
  check_leftovers

  printf '%s\n' "${timings[@]}"
  printf '%5d s  all checks passed\n' "$SECONDS"
}

main "$@"
