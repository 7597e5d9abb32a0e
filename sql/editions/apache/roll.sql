-- Puts rolled up buckets in the place of what a rollup of the Apache edition holds for them.
INSERT INTO {relation} (bucket, {names})
{rolled}
ON CONFLICT ({key}, bucket) DO UPDATE SET {updates}
