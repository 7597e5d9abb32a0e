-- What people read: the part of schema `grafana` that is the same whatever families there are. Made anew by the server when it,
-- or what the server adds to it, has changed; see server/src/store/grafana.rs. Nothing of it may name a table of TimescaleDB's
-- catalog outside of quotes: that would be in the way of its updates.

CREATE SCHEMA grafana;

CREATE FUNCTION grafana.ms("time" timestamptz) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    -- Not extract(epoch FROM "time"), which is no constant to the planner: all chunks would be planned and locked.
    RETURN (extract(epoch FROM ("time" - timestamptz '1970-01-01 00:00:00Z')) * 1000)::int8;
COMMENT ON FUNCTION grafana.ms IS 'Milliseconds since 1970, as time_ms has them: time_ms BETWEEN grafana.ms($__timeFrom()) AND grafana.ms($__timeTo()).';

CREATE FUNCTION grafana.step(step_ms int8) RETURNS int8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN step_ms < 60000 THEN greatest(step_ms, 1)
        WHEN step_ms < 3600000 THEN (step_ms + 59999) / 60000 * 60000
        WHEN step_ms < 86400000 THEN (step_ms + 3599999) / 3600000 * 3600000
        ELSE (step_ms + 86399999) / 86400000 * 86400000 END;
COMMENT ON FUNCTION grafana.step IS 'The width of the buckets that the functions answer with, where everything asked for is still kept.';

CREATE FUNCTION grafana.kept_from(tier text) RETURNS int8
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT pika_now_ms() - keep_ms FROM retention_settings AS kept WHERE kept.tier = kept_from.tier), 0);
END $$;
COMMENT ON FUNCTION grafana.kept_from IS 'From when on a tier (raw, 1m, 1h, 1d) is kept, in milliseconds; 0: for ever.';

CREATE FUNCTION grafana.watermark(relation text, tier text) RETURNS int8
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN pika_rollup_watermark(relation, tier);
END $$;
COMMENT ON FUNCTION grafana.watermark IS 'Up to when a rollup of this name and tier is complete, in milliseconds.';

-- Said to be immutable, so that it is computed while a query is planned and only what is needed is planned. In a plan that is
-- kept it may be of before: less is read of the rollups then, and more of the finer tiers, with the same result.
CREATE FUNCTION grafana.parts(relation text, "from" timestamptz, "to" timestamptz, step_ms int8) RETURNS int8[]
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    tiers   text[] := '{raw,1m,1h,1d}';
    widths  int8[] := '{1,60000,3600000,86400000}';
    first   int8 := grafana.ms("from");
    chosen  int := CASE WHEN step_ms < 60000 THEN 1 WHEN step_ms < 3600000 THEN 2 WHEN step_ms < 86400000 THEN 3 ELSE 4 END;
    width   int8;
    reached int8;
    ending  int8;
    parts   int8[] := '{}';
    -- Where there are no buckets of minutes, the samples stand in for them.
    has_minutes bool := relation <> ALL ('{{without_minutes}}'::text[]);
BEGIN
    IF first IS NULL OR "to" IS NULL OR step_ms IS NULL THEN
        RETURN NULL;
    END IF;
    WHILE chosen < 4 AND first < grafana.kept_from(CASE WHEN chosen = 2 AND NOT has_minutes THEN 'raw' ELSE tiers[chosen] END) LOOP
        chosen := chosen + 1;
    END LOOP;
    width := greatest((step_ms + widths[chosen] - 1) / widths[chosen], 1) * widths[chosen];
    reached := first - (first % width + width) % width;
    ending := grafana.ms("to");
    ending := ending - (ending % width + width) % width + width;
    FOR tier IN REVERSE 4..2 LOOP
        parts := parts || reached;
        IF tier <= chosen AND (tier <> 2 OR has_minutes) THEN
            reached := greatest(reached, least(ending,
                coalesce(pika_rollup_watermark(relation || '_' || tiers[tier], tiers[tier]), reached)));
        END IF;
    END LOOP;
    RETURN parts || reached || ending || width;
END $$;
COMMENT ON FUNCTION grafana.parts IS 'Where the parts of an answer begin that are of days, hours, minutes and raw samples, where the last one ends, and how wide its buckets are; for the functions.';

CREATE VIEW grafana.agents AS
    SELECT key AS agent_key, id AS agent_id, coalesce(custom_name, name) AS agent, hostname, os, arch, version, tags,
        status = 1 AS online, to_timestamp(last_seen_at / 1000.0) AS last_seen, last_seen_at AS last_seen_ms, clock_offset_ms,
        to_timestamp(identity_conflict_at / 1000.0) AS identity_conflict, to_timestamp(created_at / 1000.0) AS created
    FROM public.agents;
COMMENT ON VIEW grafana.agents IS 'All agents. agent_key is what the other views and functions have of them, and what to filter those by.';
COMMENT ON COLUMN grafana.agents.agent IS 'The name that an administrator gave it, or else its own.';
COMMENT ON COLUMN grafana.agents.clock_offset_ms IS 'Server''s clock minus agent''s clock, milliseconds.';
COMMENT ON COLUMN grafana.agents.identity_conflict IS 'When two machines last used its identity by turns; null: never.';

CREATE VIEW grafana.latest AS
    SELECT agents.agent_key, agents.agent_id, agents.agent, agents.hostname, agents.os, agents.version, agents.tags, agents.online,
        agents.last_seen, to_timestamp(latest.ts / 1000.0) AS "time", latest.ts AS time_ms, latest.cpu_usage_percent,
        latest.memory_usage_percent, latest.memory_used_bytes, latest.memory_total_bytes, latest.disk_usage_percent,
        latest.received_bytes_per_second, latest.sent_bytes_per_second, latest.load1
    FROM grafana.agents AS agents LEFT JOIN public.agent_latest AS latest ON latest.agent_key = agents.agent_key;
COMMENT ON VIEW grafana.latest IS 'The newest values of every agent: the fleet at a glance, one row each and no history behind it.';
COMMENT ON COLUMN grafana.latest."time" IS 'Of the newest sample; null: there never was one.';
COMMENT ON COLUMN grafana.latest.disk_usage_percent IS 'Of the fullest disk, percent.';
COMMENT ON COLUMN grafana.latest.received_bytes_per_second IS 'Of all interfaces together, bytes a second.';
COMMENT ON COLUMN grafana.latest.sent_bytes_per_second IS 'Of all interfaces together, bytes a second.';

CREATE VIEW grafana.gaps AS
    SELECT to_timestamp(start_ts / 1000.0) AS "time", start_ts AS time_ms, to_timestamp(end_ts / 1000.0) AS time_end,
        end_ts AS time_end_ms, gaps.agent_key, agents.agent, samples, reason
    FROM public.sample_gaps AS gaps JOIN grafana.agents AS agents ON agents.agent_key = gaps.agent_key;
COMMENT ON VIEW grafana.gaps IS 'Samples that agents had to drop: from the first to the last of them. Bound time_ms, not time.';

CREATE VIEW grafana.presence AS
    SELECT to_timestamp(at / 1000.0) AS "time", at AS time_ms, presence.agent_key, agents.agent, presence.online
    FROM public.agent_presence AS presence JOIN grafana.agents AS agents ON agents.agent_key = presence.agent_key;
COMMENT ON VIEW grafana.presence IS 'When agents came and went. Bound time_ms, not time.';
COMMENT ON COLUMN grafana.presence.online IS 'From then on; null: not known, because no server was listening.';

CREATE VIEW grafana.events AS
    SELECT to_timestamp(at / 1000.0) AS "time", at AS time_ms, action, object_kind, object_name
    FROM public.audit_log WHERE object_kind = 'agent' OR action = 'settings.update';
COMMENT ON VIEW grafana.events IS 'What was done to agents and to settings; by whom and from where is for administrators. Bound time_ms, not time.';

CREATE VIEW grafana.alerts AS
    SELECT to_timestamp(fired_at / 1000.0) AS "time", fired_at AS time_ms, to_timestamp(ended_at / 1000.0) AS time_end,
        ended_at AS time_end_ms, rule_name AS rule, agent_key, agent_name AS agent, series_name, target,
        CASE severity WHEN 3 THEN 'critical' WHEN 2 THEN 'warning' ELSE 'info' END AS severity, state, end_reason, value,
        peak_value, threshold, unit, acknowledged_at IS NOT NULL AS acknowledged
    FROM public.alerts;
COMMENT ON VIEW grafana.alerts IS 'All alerts, also those that are over: time_end is when. Bound time_ms, not time.';
COMMENT ON COLUMN grafana.alerts.series_name IS 'Which disk, interface or the like.';

CREATE VIEW grafana.retention AS
    SELECT tier, keep_ms, to_timestamp(nullif(grafana.kept_from(tier), 0) / 1000.0) AS kept_from
    FROM public.retention_settings;
COMMENT ON VIEW grafana.retention IS 'How long each tier is kept; null: for ever.';

CREATE VIEW grafana.server_history AS
    SELECT to_timestamp(at / 1000.0) AS "time", at AS time_ms, server, version, to_timestamp(started_at / 1000.0) AS started,
        interval_ms, agents_connected, connections, queue_frames, pending_rows, pool_connections, pool_connections_used,
        resident_bytes, cpu_percent, frames_received, frames_missing, rows_stored, rows_duplicate, samples_dropped, flush_errors,
        database_errors, 1000.0::float8 * rows_stored / interval_ms AS rows_per_second, ack_p50_ms, ack_p99_ms, flush_p50_ms,
        flush_p99_ms
    FROM public.server_history;
COMMENT ON VIEW grafana.server_history IS 'What Pika''s servers have done, one row a minute and server, kept for 30 days. Counts are those of the interval_ms before time. Bound time_ms, not time.';
COMMENT ON COLUMN grafana.server_history.cpu_percent IS 'Of one core.';
COMMENT ON COLUMN grafana.server_history.ack_p99_ms IS 'Time from the arrival of a frame to its commit, 99th percentile, to within the bins of the server''s own metrics; null: there was none.';
COMMENT ON COLUMN grafana.server_history.pending_rows IS 'Rows received and not committed yet.';

CREATE VIEW grafana.refusals AS
    SELECT to_timestamp(at / 1000.0) AS "time", at AS time_ms, server, interval_ms, of_code.code, of_code.n::int8 AS refusals
    FROM public.server_history CROSS JOIN LATERAL jsonb_each_text(server_history.refusals) AS of_code (code, n);
COMMENT ON VIEW grafana.refusals IS 'What was refused of what agents sent, by error code; only what happened. Bound time_ms, not time.';

CREATE VIEW grafana.storage_history AS
    SELECT to_timestamp(at / 1000.0) AS "time", at AS time_ms, relation, family, tier, bytes, chunks, columnstore_chunks,
        columnstore_bytes_before, columnstore_bytes_after, to_timestamp(oldest_ms / 1000.0) AS oldest, database_bytes
    FROM public.storage_history;
COMMENT ON VIEW grafana.storage_history IS 'How much space metrics take, once an hour for 30 days, then once a day. Bound time_ms, not time.';
COMMENT ON COLUMN grafana.storage_history.bytes IS 'Size on disk including indexes, bytes.';
COMMENT ON COLUMN grafana.storage_history.oldest IS 'Where its oldest chunk begins.';
COMMENT ON COLUMN grafana.storage_history.columnstore_chunks IS 'Chunks that are compressed; Community edition only.';
COMMENT ON COLUMN grafana.storage_history.database_bytes IS 'Size of the whole database, the same in all rows of an hour.';
