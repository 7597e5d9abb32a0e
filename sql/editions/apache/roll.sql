-- Replaces the buckets of a rollup of the Apache edition.
INSERT INTO {relation} (bucket, {names})
{rolled}
ON CONFLICT ({key}, bucket) DO UPDATE SET {updates}
