-- Removes the buckets of all agents from $1 to $2 from the hypertable behind an aggregate.
DELETE FROM {behind} WHERE $1::int8 <= bucket AND bucket < $2::int8
