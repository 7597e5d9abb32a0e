-- Raw samples: five hypertables on integer milliseconds.
--
-- No foreign keys and no triggers on purpose: either turns COPY into row-at-a-time inserts.
-- The primary key makes a replay idempotent and reads one series as one index range; the BRIN index serves
-- scans over a span of time (rollups) at next to no cost.

-- TimescaleDB asks this for "now" wherever a policy has an integer window. STABLE, not IMMUTABLE: the latter
-- would be frozen into prepared plans. A SQL-standard body does not depend on the caller's search_path.
CREATE FUNCTION pika_now_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (extract(epoch FROM now()) * 1000)::bigint;

CREATE TABLE cpu_metrics (
    ts             int8   NOT NULL,
    agent_key      int4   NOT NULL,
    core_count     int4   NOT NULL,
    usage_percent  float4 NOT NULL,
    user_percent   float4,
    system_percent float4,
    iowait_percent float4,
    steal_percent  float4,
    PRIMARY KEY (agent_key, ts)
);

CREATE TABLE memory_metrics (
    ts               int8   NOT NULL,
    total_bytes      int8   NOT NULL,
    used_bytes       int8   NOT NULL,
    free_bytes       int8   NOT NULL,
    available_bytes  int8,
    swap_total_bytes int8,
    swap_used_bytes  int8,
    agent_key        int4   NOT NULL,
    usage_percent    float4 NOT NULL,
    PRIMARY KEY (agent_key, ts)
);

CREATE TABLE disk_metrics (
    ts                   int8   NOT NULL,
    total_bytes          int8   NOT NULL,
    used_bytes           int8   NOT NULL,
    free_bytes           int8   NOT NULL,
    agent_key            int4   NOT NULL,
    disk_key             int4   NOT NULL,
    usage_percent        float4 NOT NULL,
    inodes_usage_percent float4,
    PRIMARY KEY (agent_key, disk_key, ts)
);

CREATE TABLE network_metrics (
    ts                   int8 NOT NULL,
    received_bytes_total int8 NOT NULL,                          -- the kernel's counter
    sent_bytes_total     int8 NOT NULL,
    received_bytes       int8,                                   -- moved since the previous sample; null in the first
    sent_bytes           int8,
    interval_ms          int8,                                   -- the time that the two above cover
    receive_errors       int8,
    send_errors          int8,
    agent_key            int4 NOT NULL,
    interface_key        int4 NOT NULL,
    PRIMARY KEY (agent_key, interface_key, ts)
);

CREATE TABLE load_metrics (
    ts        int8   NOT NULL,
    agent_key int4   NOT NULL,
    load1     float4 NOT NULL,
    load5     float4 NOT NULL,
    load15    float4 NOT NULL,
    PRIMARY KEY (agent_key, ts)
);

-- A chunk of one day: 86,400,000 ms.
SELECT create_hypertable('cpu_metrics',     by_range('ts', BIGINT '86400000'), create_default_indexes => false);
SELECT create_hypertable('memory_metrics',  by_range('ts', BIGINT '86400000'), create_default_indexes => false);
SELECT create_hypertable('disk_metrics',    by_range('ts', BIGINT '86400000'), create_default_indexes => false);
SELECT create_hypertable('network_metrics', by_range('ts', BIGINT '86400000'), create_default_indexes => false);
SELECT create_hypertable('load_metrics',    by_range('ts', BIGINT '86400000'), create_default_indexes => false);

SELECT set_integer_now_func('cpu_metrics',     'pika_now_ms');
SELECT set_integer_now_func('memory_metrics',  'pika_now_ms');
SELECT set_integer_now_func('disk_metrics',    'pika_now_ms');
SELECT set_integer_now_func('network_metrics', 'pika_now_ms');
SELECT set_integer_now_func('load_metrics',    'pika_now_ms');

CREATE INDEX cpu_metrics_ts     ON cpu_metrics     USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX memory_metrics_ts  ON memory_metrics  USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX disk_metrics_ts    ON disk_metrics    USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX network_metrics_ts ON network_metrics USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX load_metrics_ts    ON load_metrics    USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
