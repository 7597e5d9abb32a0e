-- What the rollups of both editions need; the rollups themselves follow from one definition in the server and from
-- sql/editions, because the editions make them of different things.

-- How long each tier is kept; null: for ever.
CREATE TABLE retention_settings (
    tier    text PRIMARY KEY CHECK (tier IN ('raw', '1m', '1h', '1d')),
    keep_ms int8 CHECK (keep_ms > 0)
);
INSERT INTO retention_settings (tier, keep_ms) VALUES
    ('raw', BIGINT '2592000000'),                                -- 30 days
    ('1m',  BIGINT '7776000000'),                                -- 90 days
    ('1h',  BIGINT '34560000000'),                               -- 400 days
    ('1d',  NULL);

-- Apache edition: the spans whose buckets have to be rolled up (again). Written in the transaction that writes the
-- rows, and removed in the one that rolls them up, so neither can be without the other. No unique constraint on
-- purpose: a mark that is written while an equal one is being removed must survive.
CREATE TABLE rollup_changes (
    id         int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tier       text   NOT NULL CHECK (tier IN ('1m', '1h', '1d')), -- the tier that has to be rolled up
    start_ms   int8   NOT NULL,                                  -- first millisecond of the first bucket
    end_ms     int8   NOT NULL,                                  -- first millisecond after the last bucket
    agent_keys int4[]                                            -- null: all agents
);

-- Apache edition: up to where each tier has been rolled up.
CREATE TABLE rollup_progress (
    tier         text PRIMARY KEY CHECK (tier IN ('1m', '1h', '1d')),
    watermark_ms int8 NOT NULL
);

-- Histograms of samples add up element by element.
CREATE FUNCTION pika_add_histograms(total int4[], addend int4[]) RETURNS int4[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT array_agg(coalesce(one, 0) + coalesce(other, 0) ORDER BY position)
            FROM unnest(total, addend) WITH ORDINALITY AS pair (one, other, position));
CREATE AGGREGATE pika_sum_histograms(int4[]) (
    sfunc = pika_add_histograms, stype = int4[], initcond = '{}', combinefunc = pika_add_histograms, parallel = safe);
