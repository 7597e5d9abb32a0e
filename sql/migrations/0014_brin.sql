-- The BRIN indexes on the time of raw samples are summarised by the server, in each round of maintenance. autosummarize
-- asks autovacuum for it page by page, and where samples come faster than that is done, PostgreSQL logs every request
-- that it has no room for. Indexes of chunks do not follow those of their hypertables.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN
        SELECT pg_class.oid FROM pg_class JOIN pg_am ON pg_am.oid = relam
        WHERE amname = 'brin' AND relname ~ '(cpu|memory|disk|network|load)_metrics_ts$'
    LOOP
        EXECUTE format('ALTER INDEX %s SET (autosummarize = off)', name);
    END LOOP;
END
$$;
