-- The newest values of every agent, one row each: the fleet at a glance, also right after a restart of the server and
-- for anything else that reads along. Written every few seconds, never back in time.
CREATE TABLE agent_latest (
    agent_key                 int4 PRIMARY KEY REFERENCES agents (key) ON DELETE CASCADE,
    ts                        int8 NOT NULL,                     -- of the newest sample of any family
    memory_used_bytes         int8,
    memory_total_bytes        int8,
    received_bytes_per_second float8,                            -- all interfaces together
    sent_bytes_per_second     float8,
    cpu_usage_percent         float4,
    memory_usage_percent      float4,
    disk_usage_percent        float4,                            -- of the fullest disk
    load1                     float4
) WITH (fillfactor = 50);                                        -- room for updates to stay on their page
