-- One rollup on the Community edition: a continuous aggregate. WITH NO DATA, because this runs in a transaction;
-- materialized only, because the server itself reads the tail that is not rolled up yet from the finer tier.
CREATE MATERIALIZED VIEW {relation}
    WITH (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) AS
    {select} GROUP BY {group_by}
    WITH NO DATA;
CREATE INDEX ON {relation} ({key}, bucket DESC);
-- The interval in the view's own options would be taken as an INTERVAL: 1,000 times too long on milliseconds.
SELECT set_chunk_time_interval('{relation}', BIGINT '{chunk_ms}');
ALTER MATERIALIZED VIEW {relation} SET (
    timescaledb.enable_columnstore = true, timescaledb.segmentby = '{key}', timescaledb.orderby = 'bucket DESC');
