#!/usr/bin/env bash
# Calls every operation of a running Pika with curl and prints each call and its response. Everything it creates (a
# user, tokens, a rule, a silence, a channel) it also removes; agents, alerts, settings and agents' secrets stay
# unchanged, and no message is sent.
#
#   openapi/walk.sh [URL [USERNAME [PASSWORD]]]
#
# Environment, for omitted arguments: PIKA_URL (http://localhost:18888), PIKA_USERNAME (admin), PIKA_PASSWORD. The user
# has to be an administrator. Exit status: 0 if every call was answered as expected, otherwise 1.
set -euo pipefail

readonly url=${1:-${PIKA_URL:-http://localhost:18888}}
readonly username=${2:-${PIKA_USERNAME:-admin}}
readonly nobody=00000000-0000-7000-8000-000000000000
# Timeout of a call, in seconds.
limit=30
scratch='' failures=0 token='' user_id='' api_token_id='' enrollment_id='' rule_id='' silence_id='' channel_id=''

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

# Removes what an interrupted walk created, and ends its session.
clean_up() {
  local status=$?
  set +e
  trap - EXIT
  [[ -z $api_token_id ]] || quietly DELETE "/api/tokens/$api_token_id"
  [[ -z $enrollment_id ]] || quietly DELETE "/api/enrollments/$enrollment_id"
  [[ -z $user_id ]] || quietly DELETE "/api/users/$user_id"
  [[ -z $silence_id ]] || quietly DELETE "/api/alert-silences/$silence_id"
  [[ -z $rule_id ]] || quietly DELETE "/api/alert-rules/$rule_id"
  [[ -z $channel_id ]] || quietly DELETE "/api/alert-channels/$channel_id"
  [[ -z $token ]] || quietly POST /api/logout
  rm -rf "$scratch"
  exit "$status"
}

section() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

# Secrets are passed in files that only this user can read, never as arguments.
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

# Makes a call, prints it and the beginning of its response, and counts an unexpected status. OPERATION is the
# operation's id in openapi.json.
call() { # STATUS OPERATION METHOD PATH [BODY]
  local expected=$1 operation=$2 method=$3 path=$4 status mark=$green✓
  : >"$scratch/answer"
  # An endless response is cut off at the timeout.
  status=$(request "$method" "$path" "${5:-}") || ((limit < 30)) || status=000
  if [[ $status != "$expected" ]]; then
    mark="$red✗ expected $expected:"
    failures=$((failures + 1))
  fi
  printf '  %s %s%s  %-6s %-58s %s\n' "$mark" "$status" "$plain" "$method" "$path" "$operation"
  [[ ! -s $scratch/answer ]] || printf '        %s\n' "$(shown)"
}

# Prints the response on one line, with secrets masked.
shown() {
  jq -c 'walk(if type == "object" then with_entries(
      if (.key | IN("token", "password", "secret", "otpauthUrl", "recoveryCodes")) and .value != null
      then .value = "…" else . end) else . end)' "$scratch/answer" 2>/dev/null | cut -c 1-150 ||
    tr '\n' ' ' <"$scratch/answer" | cut -c 1-150
}

answer() { jq -r "$1 // empty" "$scratch/answer" 2>/dev/null; }

# Prints an object of strings. They may be secrets, so they are not passed as arguments of a program.
object() { # NAME TEXT...
  local fields=''
  while (($#)); do
    fields+=${fields:+,}\"$1\":$(printf '%s' "$2" | jq -Rs .)
    shift 2
  done
  printf '{%s}' "$fields"
}

walk_alerts() { # NAME NOW
  local name=$1 now=$2 rule silence channel

  section "Alerts"
  call 200 listAlerts GET "/api/alerts?pageSize=3"
  call 200 listPendingAlerts GET /api/alerts/pending
  call 200 getAlertSummary GET /api/alerts/summary
  call 404 getAlert GET "/api/alerts/$nobody"
  call 404 listAlertEvents GET "/api/alerts/$nobody/events"
  call 404 acknowledgeAlert PUT "/api/alerts/$nobody/acknowledgement" '{"note":"walked by"}'
  call 404 unacknowledgeAlert DELETE "/api/alerts/$nobody/acknowledgement"
  call 404 snoozeAlert PUT "/api/alerts/$nobody/snooze" "{\"until\":$((now + 3600000))}"
  call 404 unsnoozeAlert DELETE "/api/alerts/$nobody/snooze"
  call 404 addAlertNote POST "/api/alerts/$nobody/notes" '{"note":"walked by"}'
  call 200 acknowledgeAlerts POST /api/alerts/acknowledgements "{\"alertIds\":[\"$nobody\"],\"note\":\"walked by\"}"

  section "Alert rules"
  call 200 listAlertRules GET /api/alert-rules
  call 200 listAlertMetrics GET /api/alert-rules/metrics
  rule="{\"name\":\"$name\",\"enabled\":false,\"channelIds\":[],\"conditions\":[{\"kind\":\"metric\",\"family\":\"cpu\",\"metric\":\"usagePercent\",\"function\":\"avg\",\"windowMs\":300000,\"operator\":\"above\",\"severities\":{\"warning\":{\"threshold\":99,\"recoveryThreshold\":90}}}]}"
  call 200 testAlertRule POST /api/alert-rules/test "$rule"
  call 200 backtestAlertRule POST /api/alert-rules/backtest "{\"rule\":$rule,\"start\":$((now - 3600000)),\"end\":$now}"
  call 201 createAlertRule POST /api/alert-rules "$rule"
  rule_id=$(answer .id)
  call 409 createAlertRule POST /api/alert-rules "$rule"
  call 200 getAlertRule GET "/api/alert-rules/$rule_id"
  call 200 updateAlertRule PUT "/api/alert-rules/$rule_id" "$(jq -c --argjson rule "$rule" '$rule + {version, summary: "walked by"}' "$scratch/answer")"
  call 200 setAlertRuleStatus POST "/api/alert-rules/$rule_id/status" '{"enabled":false}'
  call 409 resetAlertRule POST "/api/alert-rules/$rule_id/reset"

  section "Silences"
  silence="{\"kind\":\"silence\",\"name\":\"$name\",\"startsAt\":$((now + 3600000)),\"endsAt\":$((now + 7200000)),\"matcher\":{\"ruleIds\":[\"$rule_id\"]}}"
  call 200 previewAlertSilence POST /api/alert-silences/preview "$silence"
  call 201 createAlertSilence POST /api/alert-silences "$silence"
  silence_id=$(answer .id)
  call 200 listAlertSilences GET /api/alert-silences
  call 200 getAlertSilence GET "/api/alert-silences/$silence_id"
  call 200 updateAlertSilence PUT "/api/alert-silences/$silence_id" "$(jq -c --argjson silence "$silence" '$silence + {version, comment: "walked by"}' "$scratch/answer")"
  call 204 deleteAlertSilence DELETE "/api/alert-silences/$silence_id"
  silence_id=''
  call 204 deleteAlertRule DELETE "/api/alert-rules/$rule_id"
  rule_id=''

  section "Channels"
  call 200 listAlertChannelKinds GET /api/alert-channel-kinds
  call 200 listAlertChannels GET /api/alert-channels
  # No host has a name with this ending, so nothing is sent.
  channel="{\"name\":\"$name\",\"kind\":\"ntfy\",\"enabled\":false,\"isDefault\":false,\"settings\":{\"server\":\"https://ntfy.invalid\",\"topic\":\"walk\"}}"
  call 200 previewAlertChannel POST /api/alert-channels/preview "{\"channel\":$channel}"
  call 200 testNewAlertChannel POST /api/alert-channels/test "{\"channel\":$channel}"
  call 201 createAlertChannel POST /api/alert-channels "$channel"
  channel_id=$(answer .id)
  call 200 getAlertChannel GET "/api/alert-channels/$channel_id"
  call 200 updateAlertChannel PUT "/api/alert-channels/$channel_id" "$(jq -c --argjson channel "$channel" '$channel + {version, minSeverity: "critical"}' "$scratch/answer")"
  call 200 setAlertChannelStatus POST "/api/alert-channels/$channel_id/status" '{"enabled":false}'
  call 200 testAlertChannel POST "/api/alert-channels/$channel_id/test"
  call 204 deleteAlertChannel DELETE "/api/alert-channels/$channel_id"
  channel_id=''
  call 200 listAlertDeliveries GET /api/alert-deliveries
  call 404 retryAlertDelivery POST "/api/alert-deliveries/$nobody/retry"
  call 200 getAlertSettings GET /api/settings/alerting
  call 200 setAlertSettings PUT /api/settings/alerting "$(<"$scratch/answer")"
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
  call 200 getFleetMetrics GET "/api/fleet/metrics?metric=cpuUsagePercent&points=5"
  call 200 getFleetRanking GET "/api/fleet/top?metric=memoryUsagePercent&by=max&limit=3"
  call 200 listMetricTypes GET /api/metric-types
  mapfile -t families < <(jq -r '.items[].type' "$scratch/answer")
  limit=3
  call 200 followEvents GET /api/events
  limit=30
  call 404 getAgent GET "/api/agents/$nobody"
  if [[ -n $agent ]]; then
    call 200 getAgent GET "/api/agents/$agent"
    call 200 updateAgent PUT "/api/agents/$agent" "$(jq -c --arg id "$agent" '{name: (if .name == .reportedName then "" else .name end), tags, note}' "$scratch/answer")"
    call 200 updateAgents POST /api/agents/bulk "{\"ids\":[\"$nobody\"],\"addTags\":[\"walk\"]}"
    call 200 getLatestAgentMetrics GET "/api/agents/$agent/metrics/latest"
    for family in "${families[@]}"; do
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
  call 200 getIngest GET /api/system/ingest
  call 200 getRetention GET /api/settings/retention
  call 200 setRetention PUT /api/settings/retention "$(<"$scratch/answer")"
  call 200 previewRetention POST /api/settings/retention/preview "$(<"$scratch/answer")"

  walk_alerts "$name" "$now"

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
