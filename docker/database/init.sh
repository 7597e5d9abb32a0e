#!/bin/sh
# Makes Pika's role an ordinary owner of the database, not a superuser, and the role that Grafana reads with. The image
# runs it once, when it makes the database; see docker/compose.yaml. `pika-server grafana-role` gives the reader its
# password and its settings.
set -eu

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$(cat "$POSTGRES_PASSWORD_FILE")" \
  --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE ROLE pika LOGIN CREATEROLE PASSWORD :'password';
ALTER DATABASE :"DBNAME" OWNER TO pika;
ALTER SCHEMA public OWNER TO pika;
CREATE ROLE pika_grafana;
GRANT pika_grafana TO pika WITH ADMIN TRUE, INHERIT TRUE, SET FALSE;
-- What only a superuser may set.
ALTER ROLE pika_grafana IN DATABASE :"DBNAME" SET temp_file_limit = '512MB';
-- Nobody logs in as the superuser over the network.
ALTER ROLE :"USER" PASSWORD NULL;
SQL
