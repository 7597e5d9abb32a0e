# shellcheck shell=bash
# Starts, supervises and stops processes, and shows their logs. Sourced by start.sh.
# shellcheck disable=SC2154 # state, bin and the process ids and demo are start.sh's

# --- waiting -----------------------------------------------------------------

# The shell handles signals between commands, so long-running commands run in their own session while we wait.
current=''
run_step() { # COMMAND...
  local status=0
  setsid "$@" </dev/null 9>&- &
  current=$!
  wait "$current" || status=$?
  current=
  return $status
}

pause() { # SECONDS
  sleep "$1" 9>&- &
  wait $!
}

# Repeats COMMAND until it succeeds; false after SECONDS or when process PID is gone.
wait_until() { # SECONDS PID WHAT COMMAND...
  local deadline=$((SECONDS + $1)) pid=$2 what=$3 told=$SECONDS
  shift 3
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || return 1
    ((SECONDS < deadline)) || return 1
    ((SECONDS - told < 5)) || {
      told=$SECONDS
      note "still waiting for $what"
    }
    pause 0.3
  done
}

# --- starting ----------------------------------------------------------------

# Starts a program in its own session (only this script gets the terminal's Ctrl-C); secrets are passed by environment
# or file, never as arguments.
declare -A log_start
spawn() { # NAME ARGUMENT...
  local name=$1 log=$state/$1.log
  shift
  if [[ -f $log ]] && (($(stat -c %s "$log") > 16777216)); then mv "$log" "$log.1"; fi
  (umask 077 && : >>"$log")
  log_start[$name]=$(stat -c %s "$log")
  (umask 077 && exec setsid "$bin/pika-$name" "$@") </dev/null >>"$log" 2>&1 9>&- &
  disown $! # or bash reports its end on top of our own message
  printf -v "${name}_pid" %s $!
  echo $! >"$state/$name.pid"
}

log_of() { # NAME
  if [[ $1 == database ]]; then echo "$state/database/postgres.log"; else echo "$state/$1.log"; fi
}

# Prints the end of a log, since the last start only.
show_log() { # NAME
  local log
  log=$(log_of "$1")
  tail -c "+$((${log_start[$1]:-0} + 1))" "$log" 2>/dev/null | show_tail_of "$log"
}

# --- ending ------------------------------------------------------------------

# Ends what run_step started, with its children.
end_group() { # PID
  kill -TERM -- "-$1" 2>/dev/null
  for _ in {1..100}; do
    kill -0 -- "-$1" 2>/dev/null || return
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null
}

stop_process() { # NAME PID SECONDS
  rm -f "$state/$1.pid"
  if [[ -z $2 ]] || ! kill -0 "$2" 2>/dev/null; then return 0; fi
  say "stopping the $1"
  kill -TERM "$2" 2>/dev/null
  local deadline=$((SECONDS + $3))
  while kill -0 "$2" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      note "it did not end within $3 s; killing it"
      kill -KILL "$2" 2>/dev/null
      break
    fi
    sleep 0.1
  done
}

# A killed start.sh leaves its children behind, which have their own sessions.
stop_leftovers() {
  local name pid
  for name in bench agent server; do
    pid=$(cat "$state/$name.pid" 2>/dev/null) || continue
    # The id may belong to another program by now.
    if [[ -n $pid ]] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "/pika-$name "; then
      say "an earlier start.sh left its $name behind"
      stop_process "$name" "$pid" 30
    fi
    rm -f "$state/$name.pid"
  done
}

# --- supervising --------------------------------------------------------------

readonly quick_death=30 deaths_allowed=5
declare -A born deaths next_try

supervise() {
  local name names=(database server agent)
  [[ -z $demo ]] || names+=(bench)
  for name in "${names[@]}"; do
    born[$name]=$SECONDS deaths[$name]=0 next_try[$name]=''
  done
  while :; do
    for name in "${names[@]}"; do look_after "$name"; done
    pause 1
  done
}

alive() { # NAME
  case $1 in
    database) database_alive ;;
    server) kill -0 "$server_pid" 2>/dev/null ;;
    agent) kill -0 "$agent_pid" 2>/dev/null ;;
    bench) kill -0 "$bench_pid" 2>/dev/null ;;
  esac
}

look_after() { # NAME
  local name=$1 wait_for
  alive "$name" && return 0
  if [[ -z ${next_try[$name]} ]]; then
    if ((SECONDS - born[$name] < quick_death)); then
      deaths[$name]=$((deaths[$name] + 1))
    else
      deaths[$name]=1
    fi
    if ((deaths[$name] >= deaths_allowed)); then
      show_log "$name"
      die "the $name ended ${deaths[$name]} times in quick succession (full log: $(log_of "$name"))"
    fi
    wait_for=$((1 << (deaths[$name] - 1)))
    next_try[$name]=$((SECONDS + wait_for))
    say "the $name has ended; starting it again in $wait_for s (log: $(log_of "$name"))"
  elif ((SECONDS >= next_try[$name])); then
    next_try[$name]=
    say "starting the $name again"
    case $name in
      # A failure counts as one more exit and does not end this script.
      database) launch_cluster || true ;;
      *) "launch_$name" ;;
    esac
    born[$name]=$SECONDS
  fi
}
