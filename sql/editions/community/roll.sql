-- Inserts buckets into the hypertable behind an aggregate, after the ones that they replace were removed.
INSERT INTO {behind} (bucket, {names})
{rolled}
