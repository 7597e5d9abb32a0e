# shellcheck shell=bash
# Simulated machines for demonstration, whose names begin with `demo-`. Sourced by start.sh, which sets these variables:
# shellcheck disable=SC2154 # state, bin, url, database_url and demo

launch_bench() {
  PIKA_ENROLLMENT_TOKEN=$(<"$state/demo-token") spawn bench fleet --server "$url" --agents "$demo"
}

# The token of an earlier start brings the same machines back.
start_demo() {
  [[ -n $demo ]] || return 0
  local log=$state/enrollment.log
  if [[ $(cat "$state/demo-size" 2>/dev/null) != "$demo" ]] || ! demo_known; then
    say "enrolling $demo simulated machines for the demonstration"
    (umask 077 && DATABASE_URL=$database_url "$bin/pika-server" enrollment create \
      --name demonstration --max-uses "$demo" --expires-in-hours 1 >"$state/demo-token" 2>"$log") || {
      show_tail "$log"
      die "the server created no enrollment token for the demonstration"
    }
    echo "$demo" >"$state/demo-size"
  fi
  launch_bench
}

# Whether this database knows them.
demo_known() { [[ -z $session || $(api "/api/agents") == *'"demo-'* ]]; }
