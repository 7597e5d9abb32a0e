-- How far a rollup is complete: charts read the rollup before it, and the finer tier from it on.
CREATE OR REPLACE FUNCTION pika_rollup_watermark(relation text, tier text) RETURNS int8
    LANGUAGE sql STABLE
    RETURN pika_tables_watermark(tier);
