-- Samples that agents had to drop: the reasons of holes in charts.

CREATE TABLE sample_gaps (
    agent_key   int4 NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
    start_ts    int8 NOT NULL,                                   -- time of the first dropped sample
    end_ts      int8 NOT NULL CHECK (start_ts <= end_ts),        -- time of the last
    samples     int8 NOT NULL CHECK (samples > 0),
    reason      text NOT NULL CHECK (reason IN ('spool_full', 'expired', 'unreadable')),
    reported_at int8 NOT NULL,
    PRIMARY KEY (agent_key, start_ts)
);
