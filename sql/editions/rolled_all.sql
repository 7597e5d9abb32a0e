-- The buckets of all agents from $1 to $2.
{select} WHERE $1::int8 <= {time} AND {time} < $2::int8
GROUP BY {group_by}
