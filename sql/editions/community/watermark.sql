-- How far an aggregate is complete, by the database's own books. Bodies in quotes: what PostgreSQL parses when a function
-- is made would be in the way of an update of TimescaleDB, which makes its catalog's tables anew.

-- The spans of an aggregate that have not been refreshed since their source changed, as far as there is a source.
CREATE OR REPLACE FUNCTION pika_stale_spans(relation text) RETURNS TABLE (start_ms int8, end_ms int8)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    aggregate record;
    first int8;
BEGIN
    SELECT mat_hypertable_id, raw_hypertable_id INTO aggregate
    FROM _timescaledb_catalog.continuous_agg WHERE user_view_schema = 'public' AND user_view_name = relation;
    -- Where the source's oldest chunk begins.
    SELECT min(range_start) INTO first
    FROM _timescaledb_catalog.dimension JOIN _timescaledb_catalog.dimension_slice AS slice
        ON dimension_id = dimension.id
    WHERE hypertable_id = aggregate.raw_hypertable_id;
    IF first IS NULL THEN
        RETURN;
    END IF;
    -- What has been copied from the rollup that this one has replaced is unknown to the books.
    first := greatest(first, (
        SELECT final_until_ms FROM public.rollup_builds WHERE rollup_builds.relation = pika_stale_spans.relation));
    RETURN QUERY
    SELECT greatest(lowest_modified_value, first),
        -- The greatest of all may mean for ever.
        greatest_modified_value + CASE greatest_modified_value WHEN 9223372036854775807 THEN 0 ELSE 1 END
    FROM (SELECT lowest_modified_value, greatest_modified_value
          FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
          WHERE materialization_id = aggregate.mat_hypertable_id
          UNION ALL
          -- What has not been handed on to the aggregate yet.
          SELECT lowest_modified_value, greatest_modified_value
          FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log
          WHERE hypertable_id = aggregate.raw_hypertable_id) AS log
    WHERE first <= greatest_modified_value;
    -- What a refresh has begun with is kept apart by some versions.
    IF to_regclass('_timescaledb_catalog.continuous_aggs_materialization_ranges') IS NOT NULL THEN
        RETURN QUERY
        SELECT greatest(lowest_modified_value, first), greatest_modified_value
        FROM _timescaledb_catalog.continuous_aggs_materialization_ranges
        WHERE materialization_id = aggregate.mat_hypertable_id AND first < greatest_modified_value;
    END IF;
END $$;

-- Up to where a rollup is complete: before it, the rollup answers; from it on, the finer tier. Null: there is no rollup.
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
    -- What a rollup is made of must be complete, too.
    IF source IS NOT NULL THEN
        until := least(until, pika_rollup_watermark(source, tier));
    END IF;
    RETURN until - until % bucket_ms;
END $$;
