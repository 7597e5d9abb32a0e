-- Removes the buckets of some agents from the hypertable behind an aggregate; parameters as in rolled_agents.sql.
DELETE FROM {behind} AS replaced
USING unnest($1::int8[], $2::int8[], $3::int4[]) AS mark (start_ms, end_ms, marked_agent)
WHERE agent_key = marked_agent AND start_ms <= bucket AND bucket < end_ms
    AND agent_key = ANY ($3) AND $4::int8 <= bucket AND bucket < $5::int8
