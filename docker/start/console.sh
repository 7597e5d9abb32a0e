# shellcheck shell=bash
# The web console, built before the server, which embeds it. Sourced by start.sh, which sets these variables:
# shellcheck disable=SC2154 # no_console and repo

# The oldest Node.js that builds it: that of Ubuntu 24.04.
node_wanted=18.19

console_wanted() { [[ -z $no_console ]] && ! "$repo/docker/console.sh" is-built; }

lacking_console() {
  if console_wanted && apt_usable; then
    lacking_command node "build the web console" nodejs
    lacking_command npm "build the web console" npm
  fi
}

# Builds the console if wanted and possible. The server works without it.
build_console() {
  console_wanted || return 0
  local lack
  lack=$(console_lack)
  if [[ -n $lack ]]; then
    note "the server is built without its web console, which needs $lack"
    return 0
  fi
  say "building the web console"
  run_step "$repo/docker/console.sh" build || die "the web console could not be built (the messages are above)" \
    "./start.sh --no-console goes on without it."
}

# Prints what is missing and cannot be installed, if anything.
console_lack() {
  if apt_usable; then
    have node || apt_install nodejs >&2 || true
    have npm || apt_install npm >&2 || true
  fi
  if ! have node || ! have npm; then
    echo "Node.js and npm"
  elif ! version_at_least "$(node_version)" "$node_wanted"; then
    echo "Node.js $node_wanted (this machine has $(node_version))"
  fi
}
