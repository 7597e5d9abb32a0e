-- What the keys in metric tables mean, for all series but those of disks and network interfaces, which have tables of their
-- own: names once, keys everywhere else.

CREATE TABLE series (
    key        int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_key  int4 NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
    kind       text NOT NULL,                                    -- the table of metrics, without the `_metrics` at its end
    name       text NOT NULL,                                    -- what identifies it within its agent and kind
    labels     jsonb NOT NULL,                                   -- what describes it: an object of texts
    created_at int8 NOT NULL,
    named_at   int8 NOT NULL,                                    -- when it was last known to be reported
    UNIQUE (agent_key, kind, name)
);
