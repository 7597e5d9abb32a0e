-- Puts rolled up buckets into the hypertable behind an aggregate, from which those that they replace are gone.
INSERT INTO {behind} (bucket, {names})
{rolled}
