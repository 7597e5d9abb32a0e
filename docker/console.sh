#!/usr/bin/env bash
# Builds the web console in server/web, which cargo embeds into pika-server. Does nothing if nothing
# has changed; then Node.js is not needed either.
#
#   docker/console.sh build       builds it, installing what that needs
#   docker/console.sh packages    installs what building and testing it need
#   docker/console.sh is-built    exits with 0 if it is built from these sources
set -euo pipefail

# shellcheck source=docker/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$repo/server/web"

# Prints a hash of the files' contents.
hash_of() { # PATH...
  find "$@" -type f ! -name '*.test.ts' ! -name schema.d.ts -print0 | LC_ALL=C sort -z |
    xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
}

sources_hash() { hash_of index.html package.json package-lock.json vite.config.ts svelte.config.js public scripts src; }

is_built() { [[ -f dist/.stamp && $(<dist/.stamp) == "$(sources_hash)" ]]; }

# The stamp is written last and deleted with the folder, so an incomplete installation has none.
packages() { # building|testing
  local stamp=node_modules/.stamp wanted options=()
  wanted=$(hash_of package.json package-lock.json)
  [[ $1 == testing ]] || options=(--omit=dev)
  [[ ! -f $stamp ]] || case $(<"$stamp") in
    "$wanted testing" | "$wanted $1") return 0 ;;
  esac
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci "${options[@]}" --ignore-scripts --no-audit --no-fund
  echo "$wanted $1" >"$stamp"
}

build() {
  is_built && return 0
  local sources
  sources=$(sources_hash)
  packages building
  npm run --silent build
  echo "$sources" >dist/.stamp
}

case ${1:-} in
  build) build ;;
  packages) packages testing ;;
  is-built) is_built ;;
  *)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
