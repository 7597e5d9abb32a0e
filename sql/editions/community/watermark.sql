-- Up to where a rollup is materialized: before it, the rollup answers; from it on, the finer tier.
CREATE OR REPLACE FUNCTION pika_rollup_watermark(relation text, tier text) RETURNS int8
    LANGUAGE sql STABLE
    RETURN (SELECT _timescaledb_functions.cagg_watermark(mat_hypertable_id)
            FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = relation);
