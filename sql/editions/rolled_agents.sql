-- The buckets of some agents: $3 are their keys, $1 and $2 the span of each. $4 and $5 bound all spans, so that chunks
-- outside are excluded. The spans of one agent must not overlap.
SELECT rolled.* FROM unnest($1::int8[], $2::int8[], $3::int4[]) AS mark (start_ms, end_ms, marked_agent)
CROSS JOIN LATERAL (
    {select} WHERE agent_key = marked_agent AND start_ms <= {time} AND {time} < end_ms
        AND $4::int8 <= {time} AND {time} < $5::int8
    GROUP BY {group_by}) AS rolled
