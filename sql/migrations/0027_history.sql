-- What Pika's servers have done and how much space metrics take, over time. Small tables, in which old rows are deleted.

-- Every minute, by each server.
CREATE TABLE server_history (
    at                    int8   NOT NULL,
    server                text   NOT NULL,                       -- host name and port
    interval_ms           int8   NOT NULL CHECK (0 < interval_ms), -- the time up to "at" in which all that is counted happened
    version               text   NOT NULL,
    started_at            int8   NOT NULL,
    -- at that time
    agents_connected      int8   NOT NULL,
    connections           int8   NOT NULL,
    queue_frames          int8   NOT NULL,
    pending_rows          int8   NOT NULL,
    pool_connections      int8   NOT NULL,
    pool_connections_used int8   NOT NULL,
    resident_bytes        int8   NOT NULL,
    -- in the interval
    frames_received       int8   NOT NULL,
    frames_missing        int8   NOT NULL,
    rows_stored           int8   NOT NULL,
    rows_duplicate        int8   NOT NULL,
    samples_dropped       int8   NOT NULL,
    flush_errors          int8   NOT NULL,
    database_errors       int8   NOT NULL,
    refusals              jsonb  NOT NULL,                       -- by code; codes without any are left out
    cpu_percent           float8 NOT NULL,                       -- of one core
    ack_p50_ms            float8,                                -- null: there was none
    ack_p99_ms            float8,
    flush_p50_ms          float8,
    flush_p99_ms          float8,
    PRIMARY KEY (at, server)
);

-- Every hour, by the server that does the maintenance.
CREATE TABLE storage_history (
    at                       int8 NOT NULL,
    relation                 text NOT NULL,
    family                   text NOT NULL,
    tier                     text NOT NULL,
    bytes                    int8 NOT NULL,
    chunks                   int8 NOT NULL,
    oldest_ms                int8,                               -- where its oldest chunk begins
    columnstore_chunks       int8 NOT NULL,
    columnstore_bytes_before int8,
    columnstore_bytes_after  int8,
    database_bytes           int8 NOT NULL,                      -- of the whole database, the same in all rows of an hour
    PRIMARY KEY (at, relation)
);
