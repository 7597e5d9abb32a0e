-- A table of raw samples, as 0003_metrics.sql makes the first five: no foreign keys and no triggers, the series first in the
-- primary key, and a BRIN index on time for rollups.

CREATE TABLE {relation} ({columns}, PRIMARY KEY ({key}, ts));
SELECT create_hypertable('{relation}', by_range('ts', BIGINT '{chunk_ms}'), create_default_indexes => false);
SELECT set_integer_now_func('{relation}', 'pika_now_ms');
CREATE INDEX {relation}_ts ON {relation} USING brin (ts) WITH (pages_per_range = 32, autosummarize = off);
