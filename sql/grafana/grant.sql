-- Lets the role read the schema, where there are both. Applied at every start.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pika_grafana')
        AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'grafana') THEN
        GRANT USAGE ON SCHEMA grafana TO pika_grafana;
        GRANT SELECT ON ALL TABLES IN SCHEMA grafana TO pika_grafana;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA grafana TO pika_grafana;
    END IF;
END $$;
