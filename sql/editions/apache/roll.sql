-- Rolls one span up (again) on the Apache edition. $1 and $2 bound it; $3 names the agents, or is null for all.
INSERT INTO {relation} (bucket, {names})
{select} WHERE $1::int8 <= {time} AND {time} < $2::int8 AND ($3::int4[] IS NULL OR agent_key = ANY ($3::int4[]))
GROUP BY {group_by}
ON CONFLICT ({key}, bucket) DO UPDATE SET {updates}
