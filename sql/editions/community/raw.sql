-- A raw hypertable on the Community edition: old chunks are compressed to columns.
ALTER TABLE {relation} SET (
    timescaledb.enable_columnstore = true, timescaledb.segmentby = '{key}', timescaledb.orderby = 'ts DESC');
