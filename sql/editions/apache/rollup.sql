-- One rollup on the Apache edition: a plain hypertable with the columns of the Community edition's aggregate.
CREATE TABLE IF NOT EXISTS {relation} (bucket int8 NOT NULL, {columns}, PRIMARY KEY ({key}, bucket));
SELECT create_hypertable('{relation}', by_range('bucket', BIGINT '{chunk_ms}'),
    create_default_indexes => false, if_not_exists => true);
