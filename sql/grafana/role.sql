-- The role that reads schema `grafana` and nothing else: run once for each database, again to give it another password; by a
-- superuser, or by the database's owner where that may create roles. In place of {password} comes the password, or what
-- PostgreSQL keeps of one (SCRAM-SHA-256$…).
-- The settings are defaults, which whoever has the role can change; what holds are missing rights and the number of connections.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pika_grafana') THEN
        CREATE ROLE pika_grafana;
    END IF;
END $$;
ALTER ROLE pika_grafana WITH LOGIN NOINHERIT CONNECTION LIMIT 8 PASSWORD '{password}';

DO $$
DECLARE
    setting text;
    owner   name := (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database());
BEGIN
    FOREACH setting IN ARRAY ARRAY[
        'search_path = grafana, public, pg_temp',
        'statement_timeout = ''15s''',
        'lock_timeout = ''2s''',
        'idle_in_transaction_session_timeout = ''30s''',
        'default_transaction_read_only = on',
        'plan_cache_mode = force_custom_plan',
        'jit = off'
    ] LOOP
        EXECUTE format('ALTER ROLE pika_grafana IN DATABASE %I SET %s', current_database(), setting);
    END LOOP;
    BEGIN
        EXECUTE format('ALTER ROLE pika_grafana IN DATABASE %I SET temp_file_limit = ''512MB''', current_database());
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'temp_file_limit is left to a superuser';
    END;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    -- For the server, which ends the role's statements that take too long.
    IF owner <> 'pika_grafana' THEN
        EXECUTE format('GRANT pika_grafana TO %I WITH INHERIT TRUE, SET FALSE', owner);
    END IF;
END $$;
