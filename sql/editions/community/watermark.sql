-- Up to where a rollup is complete: before it, the rollup answers; from it on, the finer tier. An aggregate that has
-- replaced another rollup holds at least what that one held; one that is still a table is as far as the Apache edition
-- has come. A text, not a body that PostgreSQL parses now: the latter would depend on the catalog of TimescaleDB and keep
-- ALTER EXTENSION timescaledb UPDATE from changing it.
CREATE OR REPLACE FUNCTION pika_rollup_watermark(relation text, tier text) RETURNS int8
    LANGUAGE sql STABLE AS $$
        SELECT coalesce(
            (SELECT greatest(
                 _timescaledb_functions.cagg_watermark(mat_hypertable_id),
                 (SELECT watermark_ms FROM public.rollup_builds WHERE rollup_builds.relation = $1))
             FROM _timescaledb_catalog.continuous_agg WHERE (user_view_schema, user_view_name) = ('public', $1)),
            (SELECT watermark_ms FROM public.rollup_progress WHERE rollup_progress.tier = $2))
    $$;
