# shellcheck shell=bash
# Which database start.sh uses, how it remembers that, and how it starts and stops it.
# Sourced by start.sh, which sets these variables:
# shellcheck disable=SC2154 # state, action, database_option and database_port
# shellcheck disable=SC2034 # and these are for start.sh

readonly cluster=$repo/docker/database/cluster.sh
readonly docker_compose=(docker compose --project-name pika --file "$repo/docker/compose.yaml")
database='' database_url='' database_pid='' database_mine=''

# --- the choice --------------------------------------------------------------

# Chooses the configured database, Docker or a private cluster, in this order; but never one other than this state
# directory has used before, unless --database says so.
choose_database() {
  local before docker='' given=''
  configured_database
  [[ -z $database_url ]] || given=1
  ! compose_works || docker=1
  before=$(remembered_database)
  if [[ -n $database_option ]]; then
    database=$database_option
    say_of_change "$before"
  elif [[ -n $before ]]; then
    database=$before
    check_unchanged "$before" "$given" "$docker"
  elif [[ -n $given ]]; then
    database=external
  elif [[ -n $docker ]]; then
    database=compose
  else
    database=cluster
  fi
  case $database in
    external) [[ -n $given ]] || die "--database external needs the database's URL" "Set DATABASE_URL, or database.url in the configuration." ;;
    compose) [[ -n $docker ]] || die "--database compose needs Docker with its compose plugin, which does not answer" ;;
  esac
  [[ $database == external ]] || database_url=''
  # It would override the URL that the server is given.
  unset PIKA_DATABASE_URL_FILE
}

# Prints the URL from the configuration, whichever keys give it.
configured_database() {
  configured || return 0
  database_url=$(setting --given database.url)
  if [[ -z $database_url && -n $(setting --given database.postgres) ]]; then database_url=$(setting database.url); fi
}

remember_database() {
  printf '%s\n' "$database" >"$state/database.kind"
}

# Prints the kinds of database that this state directory has used. Earlier versions did not record it; then it is what
# is found there, which may be two.
remembered_database() {
  local kinds=()
  if [[ -s $state/database.kind ]]; then
    cat "$state/database.kind"
    return 0
  fi
  [[ ! -d $state/database/data ]] || kinds+=(cluster)
  [[ ! -s $state/compose-password ]] || kinds+=(compose)
  # An enrolled agent implies a database.
  if ((${#kinds[@]} == 0)) && [[ -f $state/agent/identity.json ]]; then kinds=(external); fi
  echo "${kinds[*]}"
}

describe_database() { # KIND
  case $1 in
    cluster) echo "the private PostgreSQL in $state/database" ;;
    compose) echo "PostgreSQL in Docker (the volume of docker/compose.yaml)" ;;
    external) echo "the database of DATABASE_URL or of the configuration" ;;
  esac
}

check_unchanged() { # BEFORE GIVEN DOCKER
  case $1 in
    *' '*)
      die "both $(describe_database cluster) and $(describe_database compose) have served $state before" \
        "Say which of them: ./start.sh --database cluster or ./start.sh --database compose. The other one stays as it is."
      ;;
    external)
      [[ -n $2 ]] || refuse_change external "neither DATABASE_URL nor the configuration gives it any more" \
        "Give it again" "cluster (or --database compose)"
      ;;
    *)
      [[ -z $2 ]] || refuse_change "$1" "DATABASE_URL or the configuration gives another one" \
        "Take that out to go on as before" external
      ;;
  esac
  [[ $1 != compose || -n $3 ]] || refuse_change compose "Docker with its compose plugin does not answer" "Start Docker" cluster
}

refuse_change() { # BEFORE WHAT-IS-NEW CURE KIND
  die "$state has been served by $(describe_database "$1"), and $2" \
    "$3; or change the database: ./start.sh --database $4." \
    "A change moves and deletes nothing: ./start.sh --database $1 brings this one back."
}

say_of_change() { # BEFORE
  if [[ -n $1 && $1 != "$database" && $1 != *' '* ]]; then
    say "changing from $(describe_database "$1") to $(describe_database "$database"); the former is left unchanged"
  fi
}

# --- Docker ------------------------------------------------------------------

compose_works() {
  have docker && docker compose version >/dev/null 2>&1 && timeout 10 docker info >/dev/null 2>&1
}

with_compose() { # COMMAND...
  PIKA_DATABASE_PASSWORD=$(secret_file "$state/compose-password" 24) PIKA_DATABASE_PORT=$database_port \
    "$@"
}

compose_runs() {
  [[ -n $(with_compose "${docker_compose[@]}" ps --status running --quiet database) ]]
}

start_compose() {
  mark_database compose_runs
  say "starting PostgreSQL with TimescaleDB (Docker, port $database_port)"
  with_compose run_step "${docker_compose[@]}" up --detach --wait database >&2 || {
    with_compose "${docker_compose[@]}" logs --tail 20 database >&2 || true
    die "the database container did not become ready"
  }
  # An existing volume may have another password than this state directory.
  local password
  password=$(<"$state/compose-password")
  printf "ALTER ROLE pika PASSWORD '%s';\n" "$password" |
    with_compose "${docker_compose[@]}" exec -T database psql -XqU pika -d pika >&2 ||
    die "the database's password could not be set"
  database_url=postgres://pika:$password@127.0.0.1:$database_port/pika
}

# --- the private cluster -----------------------------------------------------

# Prints what starting the database would install, if anything.
lacking_database() {
  [[ $database != cluster ]] || "$cluster" needs --state "$state/database"
}

start_cluster() {
  mark_database "$cluster" status --state "$state/database"
  launch_cluster || die "the database did not start"
}

launch_cluster() {
  local answer=$state/database.url status=0
  (umask 077 && : >"$answer")
  run_step "$cluster" start --state "$state/database" --port "$database_port" --profile service >"$answer" || status=1
  database_url=$(<"$answer")
  rm -f "$answer"
  database_pid=$("$cluster" status --state "$state/database" | sed -n 's/.*process \([0-9]*\),.*/\1/p')
  return $status
}

# --- any of them -------------------------------------------------------------

start_database() {
  case $database in
    external) say "using $(describe_database external)" ;;
    compose) start_compose ;;
    cluster) start_cluster ;;
  esac
}

# `database_mine`: start.sh stops only a database that start.sh has started, this run or one that was killed, as a mark
# in the file system records.
mark_database() { # COMMAND... that succeeds if it runs already
  local mark=$state/database-started
  if [[ $action == database_only ]]; then
    rm -f "$mark"
    return 0
  fi
  if ! "$@" >/dev/null 2>&1; then : >"$mark"; fi
  [[ ! -e $mark ]] || database_mine=1
}

stop_database() {
  rm -f "$state/database-started"
  case $database in
    cluster) setsid --wait "$cluster" stop --state "$state/database" ;;
    compose)
      say "stopping the database container"
      with_compose setsid --wait "${docker_compose[@]}" stop --timeout 60 database >&2
      ;;
  esac
}

# Docker restarts its container itself, and an external database is not ours to restart.
database_alive() {
  [[ $database != cluster || (-n $database_pid && -d /proc/$database_pid) ]]
}
