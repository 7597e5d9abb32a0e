# shellcheck shell=bash
# Enrolls and starts this machine's agent, and waits for its samples. Sourced by start.sh, which sets these variables:
# shellcheck disable=SC2154 # state, bin, url and database_url

launch_agent() {
  spawn agent run --server "$url" --state-dir "$state/agent"
}

start_agent() {
  log_in
  if [[ -f $state/agent/identity.json ]] && ! agent_known; then
    say "the server does not know this agent (another database?)"
    take_previous_identity
  fi
  [[ -f $state/agent/identity.json ]] || enroll
  say "starting the agent"
  agent_since=$(date +%s)000
  launch_agent
}

enroll() {
  say "enrolling an agent for this machine"
  local token log=$state/enrollment.log
  mkdir -p "$state/agent"
  chmod 0700 "$state/agent"
  token=$(DATABASE_URL=$database_url "$bin/pika-server" enrollment create \
    --name local --max-uses 1 --expires-in-hours 1 2>"$log") || {
    show_tail "$log"
    die "the server created no enrollment token"
  }
  PIKA_ENROLLMENT_TOKEN=$token "$bin/pika-agent" enroll --server "$url" --state-dir "$state/agent" >>"$log" 2>&1 || {
    show_tail "$log"
    die "the agent could not be enrolled (full log: $log)"
  }
}

# Restores the identity that the agent had with this database, if any.
take_previous_identity() {
  rm -rf "$state/agent.unknown"
  mv "$state/agent" "$state/agent.unknown"
  [[ ! -d $state/agent.previous ]] || mv "$state/agent.previous" "$state/agent"
  mv "$state/agent.unknown" "$state/agent.previous"
  if [[ -f $state/agent/identity.json ]] && agent_known; then
    say "it knows this agent's former identity; using that one"
  else
    rm -rf "$state/agent"
  fi
}

agent_id() {
  sed -n 's/.*"id"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$state/agent/identity.json" | head -n 1
}

# Unknown only if the server says so; without a valid login this cannot be determined.
agent_known() {
  [[ -z $session ]] || [[ $(api_status "/api/agents/$(agent_id)") != 404 ]]
}

# --- the API (secrets go to curl by stdin) -----------------------------------

session=''
log_in() {
  local answer password
  password=$(sed 's/[\\"]/\\&/g' "$state/admin-password")
  answer=$(printf '{"username":"admin","password":"%s"}' "$password" |
    curl -sS --max-time 20 -w '\n%{http_code}' -H 'Content-Type: application/json' --data-binary @- "$url/api/login" 2>&1) || true
  session=
  case ${answer##*$'\n'} in
    200 | 201) session=$(sed -n 's/.*"token"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' <<<"$answer" | head -n 1) ;;
    401) say "the password in $state/admin-password is no longer the admin's; continuing without it" ;;
    *) say "the server refused the admin's login; continuing without it: ${answer:0:200}" ;;
  esac
}

api() { # PATH [curl OPTION...]
  local path=$1
  shift
  printf 'header = "Authorization: Bearer %s"\n' "$session" | curl -sS --max-time 10 --config - "$@" "$url$path"
}

api_status() { api "$1" -o /dev/null -w '%{http_code}' 2>/dev/null || true; }

field() { # NAME, JSON on stdin
  sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Whether every family is present, and the newest sample is from this run.
samples_arrived() {
  local answer part taken
  answer=$(api "/api/agents/$(agent_id)/metrics/latest" 2>/dev/null | tr -d ' \n\t') || return 1
  for part in '"cpu":{' '"memory":{' '"load":{' '"disks":[' '"networks":['; do
    [[ $answer == *"$part"* ]] || return 1
  done
  taken=$(sed -n 's/.*"cpu":{[^}]*"timestamp":\([0-9]*\).*/\1/p' <<<"$answer")
  ((${taken:-0} >= agent_since))
}

wait_for_samples() {
  if [[ -z $session ]]; then
    # The best that can be checked without a login: it stays up.
    pause 3
    kill -0 "$agent_pid" 2>/dev/null && return 0
  elif wait_until 60 "$agent_pid" "the agent's first samples" samples_arrived; then
    say "the agent's samples arrive"
    return 0
  fi
  show_log agent
  show_log server
  die "no samples of the agent arrived (logs: $state/agent.log, $state/server.log)"
}
