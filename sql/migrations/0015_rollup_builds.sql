-- Rollups that are being made anew under another name (`…_next`), and those that were.
CREATE TABLE rollup_builds (
    relation        text PRIMARY KEY,
    copied_until_ms int8,            -- while it is made: buckets before this have been copied
    final_until_ms  int8 NOT NULL    -- what was copied before this is complete and does not change any more
);

-- Apache edition: up to where a tier's tables are rolled up: what is marked for all agents is not yet.
CREATE FUNCTION pika_tables_watermark(tier text) RETURNS int8
    LANGUAGE sql STABLE
    RETURN (SELECT least(watermark_ms,
                (SELECT min(start_ms) FROM rollup_changes
                 WHERE agent_keys IS NULL AND array_position(ARRAY['1m', '1h', '1d'], rollup_changes.tier)
                     <= array_position(ARRAY['1m', '1h', '1d'], pika_tables_watermark.tier))
                / bucket_ms * bucket_ms)
            FROM rollup_progress
            CROSS JOIN (VALUES (CASE pika_tables_watermark.tier
                WHEN '1m' THEN BIGINT '60000' WHEN '1h' THEN 3600000 ELSE 86400000 END)) AS width (bucket_ms)
            WHERE rollup_progress.tier = pika_tables_watermark.tier);
