# shellcheck shell=bash
# Grafana with Pika's dashboards, in Docker beside the database there. Sourced by start.sh,
# whose variables these are:
# shellcheck disable=SC2154 # state, bin, grafana, database, database_url and docker_compose

readonly grafana_port=${PIKA_GRAFANA_PORT:-13000}
grafana_mine=''

check_grafana() {
  [[ -z $grafana || $database == compose ]] ||
    die "--grafana takes Docker, and the database there (--database compose)" \
      "docker/grafana/README.md says how to use a Grafana of your own with any database."
}

with_grafana() { # COMMAND...
  PIKA_GRAFANA_PASSWORD=$(secret_file "$state/grafana.password" 24) \
    PIKA_GRAFANA_ADMIN_PASSWORD=$(secret_file "$state/grafana-admin-password" 12) PIKA_GRAFANA_PORT=$grafana_port \
    with_compose "$@"
}

start_grafana() {
  [[ -n $grafana ]] || return 0
  local log=$state/grafana-role.log
  secret_file "$state/grafana.password" 24 >/dev/null
  DATABASE_URL=$database_url "$bin/pika-server" grafana-role --password-file "$state/grafana.password" >"$log" 2>&1 || {
    show_tail "$log"
    die "the role that Grafana reads with could not be made"
  }
  say "starting Grafana (Docker, port $grafana_port)"
  grafana_mine=1
  # The role is there, and the server is not in Docker.
  with_grafana run_step "${docker_compose[@]}" --profile grafana up --detach --no-deps grafana >&2 ||
    die "Grafana did not start (docker compose -f docker/compose.yaml logs grafana)"
}

stop_grafana() {
  [[ -n $grafana_mine ]] || return 0
  with_grafana setsid --wait "${docker_compose[@]}" --profile grafana stop --timeout 10 grafana >&2
}

# Lines for the summary.
describe_grafana() {
  [[ -n $grafana ]] || return 0
  printf '\n  Grafana:    http://localhost:%s\n              user admin, password %s' "$grafana_port" "$(<"$state/grafana-admin-password")"
}
