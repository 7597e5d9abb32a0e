-- How far an aggregate is complete, according to TimescaleDB's catalog. Bodies are quoted: bodies that PostgreSQL
-- parses at creation would block updates of TimescaleDB, which recreate its catalog tables.

-- The ranges of an aggregate that have not been refreshed since their source changed, as far as the source exists.
CREATE OR REPLACE FUNCTION pika_stale_spans(relation text) RETURNS TABLE (start_ms int8, end_ms int8)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    aggregate record;
    first int8;
BEGIN
    SELECT mat_hypertable_id, raw_hypertable_id INTO aggregate
    FROM _timescaledb_catalog.continuous_agg WHERE user_view_schema = 'public' AND user_view_name = relation;
    -- The start of the source's oldest chunk.
    SELECT min(range_start) INTO first
    FROM _timescaledb_catalog.dimension JOIN _timescaledb_catalog.dimension_slice AS slice
        ON dimension_id = dimension.id
    WHERE hypertable_id = aggregate.raw_hypertable_id;
    IF first IS NULL THEN
        RETURN;
    END IF;
    -- The catalog does not know about rows copied from a replaced rollup.
    first := greatest(first, (
        SELECT final_until_ms FROM public.rollup_builds WHERE rollup_builds.relation = pika_stale_spans.relation));
    RETURN QUERY
    SELECT greatest(lowest_modified_value, first),
        -- The greatest possible value may mean infinity.
        greatest_modified_value + CASE greatest_modified_value WHEN 9223372036854775807 THEN 0 ELSE 1 END
    FROM (SELECT lowest_modified_value, greatest_modified_value
          FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
          WHERE materialization_id = aggregate.mat_hypertable_id
          UNION ALL
          -- Invalidations not passed on to the aggregate yet.
          SELECT lowest_modified_value, greatest_modified_value
          FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log
          WHERE hypertable_id = aggregate.raw_hypertable_id) AS log
    WHERE first <= greatest_modified_value;
    -- Some versions keep the ranges of a running refresh separately.
    IF to_regclass('_timescaledb_catalog.continuous_aggs_materialization_ranges') IS NOT NULL THEN
        RETURN QUERY
        SELECT greatest(lowest_modified_value, first), greatest_modified_value
        FROM _timescaledb_catalog.continuous_aggs_materialization_ranges
        WHERE materialization_id = aggregate.mat_hypertable_id AND first < greatest_modified_value;
    END IF;
END $$;

-- How far a rollup is complete: charts read the rollup before it, and the finer tier from it on. Null: there is no
-- rollup.
CREATE OR REPLACE FUNCTION pika_rollup_watermark(relation text, tier text) RETURNS int8
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    bucket_ms int8 := CASE tier WHEN '1m' THEN 60000 WHEN '1h' THEN 3600000 ELSE 86400000 END;
    source text;
    until int8;
BEGIN
    SELECT finer.user_view_name INTO source
    FROM _timescaledb_catalog.continuous_agg AS aggregate LEFT JOIN _timescaledb_catalog.continuous_agg AS finer
        ON finer.mat_hypertable_id = aggregate.raw_hypertable_id
    WHERE aggregate.user_view_schema = 'public' AND aggregate.user_view_name = relation;
    IF NOT found THEN
        -- Still a table of the Apache edition.
        RETURN public.pika_tables_watermark(tier);
    END IF;
    SELECT coalesce(min(start_ms), 9223372036854775807) INTO until FROM pika_stale_spans(relation);
    -- The rollup's source must be complete, too.
    IF source IS NOT NULL THEN
        until := least(until, pika_rollup_watermark(source, tier));
    END IF;
    RETURN until - until % bucket_ms;
END $$;
