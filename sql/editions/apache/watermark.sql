-- Up to where a rollup is complete: before it, the rollup answers; from it on, the finer tier.
CREATE OR REPLACE FUNCTION pika_rollup_watermark(relation text, tier text) RETURNS int8
    LANGUAGE sql STABLE
    RETURN pika_tables_watermark(tier);
