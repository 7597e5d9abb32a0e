#!/usr/bin/env bash
# Walks through the whole API of a running Pika with curl and prints each call and its
# answer. What it makes (a user, tokens) it also removes; agents and settings stay as they
# are, and no secret of an agent is touched.
#
#   openapi/walk.sh [URL [USERNAME [PASSWORD]]]
#
# Environment, where an argument is left out: PIKA_URL (http://localhost:18888),
# PIKA_USERNAME (admin), PIKA_PASSWORD. The user has to be an administrator.
# Exit status: 0 when every call was answered as expected, else 1.
set -euo pipefail

readonly url=${1:-${PIKA_URL:-http://localhost:18888}}
readonly username=${2:-${PIKA_USERNAME:-admin}}
readonly nobody=00000000-0000-7000-8000-000000000000
# How long a call may take, in seconds.
limit=30
scratch='' failures=0 token='' user_id='' api_token_id='' enrollment_id=''

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

for command in curl jq; do
  command -v "$command" >/dev/null || {
    printf 'walk.sh: %s is missing\n' "$command" >&2
    exit 1
  }
done
[[ ${1:-} != -h && ${1:-} != --help ]] || {
  usage
  exit 0
}
password=${3:-${PIKA_PASSWORD:-}}
[[ -n $password ]] || {
  printf 'walk.sh: no password\n\n' >&2
  usage >&2
  exit 2
}

bold='' green='' red='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; fi

# Removes what an interrupted walk has made, and ends its session.
clean_up() {
  local status=$?
  set +e
  trap - EXIT
  [[ -z $api_token_id ]] || quietly DELETE "/api/tokens/$api_token_id"
  [[ -z $enrollment_id ]] || quietly DELETE "/api/enrollments/$enrollment_id"
  [[ -z $user_id ]] || quietly DELETE "/api/users/$user_id"
  [[ -z $token ]] || quietly POST /api/logout
  rm -rf "$scratch"
  exit "$status"
}

section() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

# The secrets of requests go through files that only this user can read, never through arguments.
request() { # METHOD PATH [BODY], with the token in $token; prints the status, leaves the answer in $scratch/answer
  local method=$1 path=$2 body=${3:-} arguments=()
  if [[ -n $body ]]; then
    printf '%s' "$body" >"$scratch/body"
    arguments=(--header 'Content-Type: application/json' --data-binary "@$scratch/body")
  fi
  printf 'header = "Authorization: Bearer %s"\n' "$token" >"$scratch/curl"
  curl --silent --show-error --max-time "$limit" --config "$scratch/curl" --request "$method" "${arguments[@]}" \
    --output "$scratch/answer" --write-out '%{http_code}' "$url$path"
}

quietly() { request "$@" >/dev/null 2>&1; }

# Makes a call, prints it and the beginning of its answer, and counts an unexpected status.
# OPERATION is the operation's id in openapi.json.
call() { # STATUS OPERATION METHOD PATH [BODY]
  local expected=$1 operation=$2 method=$3 path=$4 status mark=$green✓
  : >"$scratch/answer"
  # An answer that does not end is cut off at the limit.
  status=$(request "$method" "$path" "${5:-}") || ((limit < 30)) || status=000
  if [[ $status != "$expected" ]]; then
    mark="$red✗ expected $expected:"
    failures=$((failures + 1))
  fi
  printf '  %s %s%s  %-6s %-58s %s\n' "$mark" "$status" "$plain" "$method" "$path" "$operation"
  [[ ! -s $scratch/answer ]] || printf '        %s\n' "$(shown)"
}

# The answer on one line; nobody reads secrets over somebody's shoulder.
shown() {
  jq -c 'walk(if type == "object" then with_entries(
      if (.key | IN("token", "password", "secret", "otpauthUrl", "recoveryCodes")) and .value != null
      then .value = "…" else . end) else . end)' "$scratch/answer" 2>/dev/null | cut -c 1-150 ||
    tr '\n' ' ' <"$scratch/answer" | cut -c 1-150
}

answer() { jq -r "$1 // empty" "$scratch/answer" 2>/dev/null; }

# An object of texts. They may be secrets, so they are no arguments of a program.
object() { # NAME TEXT...
  local fields=''
  while (($#)); do
    fields+=${fields:+,}\"$1\":$(printf '%s' "$2" | jq -Rs .)
    shift 2
  done
  printf '{%s}' "$fields"
}

walk() {
  local now name agent old_token session user_password family
  now=$(($(date +%s) * 1000))
  name=walk-$now-$$

  section "The server"
  call 200 getHealth GET /healthz
  call 200 getReadiness GET /readyz

  section "Logging in"
  call 401 getAccountInfo GET /api/account/info
  call 401 login POST /api/login "$(object username "$name" password "wrong password")"
  call 200 login POST /api/login "$(object username "$username" password "$password")"
  token=$(answer .token)
  [[ -n $token ]] || {
    printf '\nnobody is logged in; the rest makes no sense\n'
    return
  }
  call 200 loginWithToken POST /api/auth "$(object token "$token")"
  call 200 getAccountInfo GET /api/account/info
  call 200 listSessions GET /api/account/sessions
  call 200 getPreferences GET /api/account/preferences
  call 200 setPreferences PUT /api/account/preferences "$(jq -c '{preferences}' "$scratch/answer")"
  call 200 getSystemInfo GET /api/system/info

  section "Agents"
  call 200 listAgents GET /api/agents
  agent=$(answer '.items[0].id')
  call 200 listOnlineAgents GET /api/agents/online
  call 200 getLatestFleetMetrics GET /api/agents/metrics/latest
  call 200 getSparklines GET "/api/agents/metrics/sparklines?metric=cpuUsagePercent&points=30"
  limit=3
  call 200 followEvents GET /api/events
  limit=30
  call 404 getAgent GET "/api/agents/$nobody"
  if [[ -n $agent ]]; then
    call 200 getAgent GET "/api/agents/$agent"
    call 200 updateAgent PUT "/api/agents/$agent" "$(jq -c --arg id "$agent" '{name: (if .name == .reportedName then "" else .name end), tags, note}' "$scratch/answer")"
    call 200 updateAgents POST /api/agents/bulk "{\"ids\":[\"$nobody\"],\"addTags\":[\"walk\"]}"
    call 200 getLatestAgentMetrics GET "/api/agents/$agent/metrics/latest"
    for family in cpu memory disk network load; do
      call 200 getAgentMetrics GET "/api/agents/$agent/metrics?type=$family&points=3"
    done
    call 200 getAgentMetrics GET "/api/agents/$agent/metrics?type=cpu&start=$((now - 86400000))&end=$now"
    call 200 getMetrics GET "/api/metrics?agentId=$agent&agentId=$nobody&type=cpu&type=load&points=3"
    call 200 getAgentMetrics GET "/api/agents/$agent/metrics?type=cpu&interval=raw&points=3"
    call 400 getAgentMetrics GET "/api/agents/$agent/metrics?type=nothing"
    call 200 getAgentPresence GET "/api/agents/$agent/presence"
    call 200 listAgentGaps GET "/api/agents/$agent/gaps"
  else
    printf '    there is no agent: its calls are not walked through\n'
  fi

  section "Letting agents in"
  call 201 createEnrollment POST /api/enrollments "{\"name\":\"$name\",\"maxUses\":1,\"expiresAt\":$((now + 3600000))}"
  enrollment_id=$(answer .id)
  call 200 listEnrollments GET /api/enrollments
  call 200 getEnrollment GET "/api/enrollments/$enrollment_id"
  call 200 listAgents GET "/api/agents?enrollmentId=$enrollment_id"
  call 204 deleteEnrollment DELETE "/api/enrollments/$enrollment_id"
  enrollment_id=''

  section "API tokens"
  call 201 createApiToken POST /api/tokens "{\"name\":\"$name\",\"scopes\":[\"read\"],\"expiresAt\":$((now + 3600000))}"
  api_token_id=$(answer .id) old_token=$token token=$(answer .token)
  call 200 listAgents GET "/api/agents?status=1"
  call 403 listApiTokens GET /api/tokens
  token=$old_token
  call 200 listApiTokens GET /api/tokens
  call 204 deleteApiToken DELETE "/api/tokens/$api_token_id"
  api_token_id=''

  section "Users"
  call 201 createUser POST /api/users "$(object username "$name" nickname walk.sh)"
  user_id=$(answer .user.id) user_password=$(answer .password)
  call 409 createUser POST /api/users "$(object username "$name")"
  call 200 listUsers GET "/api/users?search=walk&sort=-createdAt"
  call 200 getUser GET "/api/users/$user_id"
  call 200 updateUser PUT "/api/users/$user_id" '{"email":"walk@example.org"}'
  call 200 listUserApiTokens GET "/api/users/$user_id/tokens"

  section "The new user"
  call 200 login POST /api/login "$(object username "$name" password "$user_password")"
  old_token=$token token=$(answer .token)
  call 403 listUsers GET /api/users
  call 204 changePassword POST "/api/users/$user_id/password" \
    "$(object oldPassword "$user_password" newPassword "walked a long way")"
  call 200 beginTotp POST /api/account/totp '{"password":"walked a long way"}'
  call 403 confirmTotp POST /api/account/totp/confirm '{"code":"0"}'
  call 404 removeTotp DELETE /api/account/totp '{"password":"walked a long way","code":"0"}'
  call 200 login POST /api/login "$(object username "$name" password "walked a long way")"
  call 200 listSessions GET /api/account/sessions
  session=$(answer '.items[] | select(.current | not) | .id')
  call 204 deleteSession DELETE "/api/account/sessions/$session"
  token=$old_token

  section "Administration"
  call 204 resetUserTotp DELETE "/api/users/$user_id/totp"
  call 200 resetPassword POST "/api/users/$user_id/reset-password" '{}'
  call 200 setUserStatus POST "/api/users/$user_id/status" '{"status":0}'
  call 204 deleteUser DELETE "/api/users/$user_id"
  user_id=''
  call 200 getAuditLog GET "/api/audit?pageSize=3"
  call 200 getStorage GET /api/system/storage
  call 200 getRetention GET /api/settings/retention
  call 200 setRetention PUT /api/settings/retention "$(<"$scratch/answer")"

  section "Logging out"
  call 204 logout POST /api/logout
  call 401 getAccountInfo GET /api/account/info
  token=''
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
scratch=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/pika-walk.XXXXXX")
printf '%sPika at %s%s\n' "$bold" "$url" "$plain"
walk
if ((failures > 0)) || [[ -n $token ]]; then
  printf '\n%sunexpected answers: %d%s\n' "$red" "$failures" "$plain"
  exit 1
fi
printf '\n%severy call was answered as expected%s\n' "$green" "$plain"
