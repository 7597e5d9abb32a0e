-- Alerting: rules, what they found, who is told, and what was told. All of it is small beside the metrics and needs foreign
-- keys and updates, so these are plain tables. Severities are 1 info, 2 warning, 3 critical.

CREATE TABLE alert_settings (
    is_only_row     bool PRIMARY KEY DEFAULT true CHECK (is_only_row),
    language        text NOT NULL DEFAULT 'en',                  -- of messages, where a channel does not say its own
    time_zone       text NOT NULL DEFAULT 'UTC',
    fleet_min       int4 NOT NULL DEFAULT 3,                     -- agents that leave together make an outage of the fleet:
    fleet_percent   int4 NOT NULL DEFAULT 20,                    -- at least so many, and so many of those that were there
    tag_percent     int4 NOT NULL DEFAULT 80,                    -- the same for a tag
    heartbeats      jsonb NOT NULL DEFAULT '[]',                 -- what is no secret of them
    secrets         bytea,                                       -- their addresses, sealed
    history_keep_ms int8 NOT NULL DEFAULT 34560000000,           -- 400 days
    version         int4 NOT NULL DEFAULT 1,
    updated_at      int8 NOT NULL DEFAULT 0
);
INSERT INTO alert_settings DEFAULT VALUES;

CREATE TABLE alert_rules (
    id                    uuid PRIMARY KEY,
    name                  text NOT NULL,
    enabled               bool NOT NULL,
    builtin               text UNIQUE,                           -- what the rule is called among those that Pika comes with
    builtin_version       int4,                                  -- of the default it follows; null: somebody changed it
    version               int4 NOT NULL DEFAULT 1,               -- counts changes
    judged_version        int4 NOT NULL DEFAULT 1,               -- version in which what it judges last changed
    definition            jsonb NOT NULL,                        -- scope, conditions and times; `domain::alert::rule` reads it
    uses_default_channels bool NOT NULL DEFAULT true,            -- instead of those in alert_rule_channels
    summary               text NOT NULL DEFAULT '',
    runbook               text NOT NULL DEFAULT '',
    runbook_url           text,
    created_at            int8 NOT NULL,
    updated_at            int8 NOT NULL,
    updated_by            text NOT NULL
);
CREATE UNIQUE INDEX alert_rules_name ON alert_rules (lower(name));

CREATE TABLE alert_channels (
    id                  uuid PRIMARY KEY,
    name                text NOT NULL,
    kind                text NOT NULL,
    enabled             bool NOT NULL,
    is_default          bool NOT NULL,                           -- told by rules that name no channels
    tells_outages       bool NOT NULL,                           -- told when the database is away
    min_severity        int2 NOT NULL CHECK (min_severity BETWEEN 1 AND 3),
    tells_resolved      bool NOT NULL,
    language            text,                                    -- null: that of alert_settings
    time_zone           text,
    settings            jsonb NOT NULL,                          -- what is no secret
    secrets             bytea,                                   -- sealed
    secret_hints        jsonb NOT NULL DEFAULT '{}',             -- the last characters of each
    templates           jsonb,
    group_wait_ms       int4 NOT NULL,                           -- from the first difference to the message
    group_interval_ms   int4 NOT NULL,                           -- between messages
    min_interval_ms     int4 NOT NULL,                           -- between requests
    per_hour_max        int4 NOT NULL,
    includes_addresses  bool NOT NULL DEFAULT false,
    version             int4 NOT NULL DEFAULT 1,
    -- Written by the evaluator: since when there is something to tell, and when it last handed something over.
    difference_since    int8,
    handed_at           int8,
    -- Written by the worker that serves the channel.
    state               text NOT NULL DEFAULT 'ok' CHECK (state IN ('ok', 'failing', 'broken')),
    failing_since       int8,
    last_ok_at          int8,
    last_error          text,
    next_at             int8,
    leased_until        int8,
    leased_by           uuid,
    created_at          int8 NOT NULL,
    updated_at          int8 NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX alert_channels_name ON alert_channels (lower(name));

CREATE TABLE alert_rule_channels (
    rule_id    uuid NOT NULL REFERENCES alert_rules (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
    PRIMARY KEY (rule_id, channel_id)
);
CREATE INDEX alert_rule_channels_channel_id ON alert_rule_channels (channel_id);

-- When each group of rules, those that read the same window of the same table, was and will be evaluated.
CREATE TABLE alert_groups (
    key          text PRIMARY KEY,
    due_at       int8 NOT NULL,
    evaluated_at int8 NOT NULL,                                  -- the T of its last evaluation
    duration_ms  int4 NOT NULL DEFAULT 0,
    failures     int4 NOT NULL DEFAULT 0                         -- in a row
);

CREATE TABLE alert_clock (
    is_only_row   bool PRIMARY KEY DEFAULT true CHECK (is_only_row),
    evaluated_at  int8,                                          -- null: never yet
    observed_from int8,                                          -- before this nobody was watching
    evaluator     uuid,                                          -- the run of the server that evaluated last
    fleet         jsonb NOT NULL DEFAULT '{}'                    -- members of outages of the fleet and of tags
);
INSERT INTO alert_clock DEFAULT VALUES;

-- One row for each alert, as long as it lasts and afterwards. Names are kept beside the keys: history outlives what it speaks of.
CREATE TABLE alerts (
    id              uuid PRIMARY KEY,
    rule_id         uuid REFERENCES alert_rules (id) ON DELETE SET NULL,
    rule_name       text NOT NULL,
    rule_version    int4 NOT NULL,
    agent_key       int4 REFERENCES agents (key) ON DELETE SET NULL,
    agent_id        uuid,
    agent_name      text,
    series_name     text,                                        -- mount point or interface
    target          text NOT NULL DEFAULT '',                    -- 'fleet', 'tag:…' or 'system:…', where it is no agent
    severity        int2 NOT NULL CHECK (severity BETWEEN 1 AND 3),
    peak_severity   int2 NOT NULL CHECK (peak_severity BETWEEN 1 AND 3),
    state           text NOT NULL CHECK (state IN ('firing', 'resolved')),
    started_at      int8 NOT NULL,                               -- since when it holds
    fired_at        int8 NOT NULL,
    ended_at        int8,
    end_reason      text,                                        -- recovered, no_data, rule_changed, rule_disabled, …
    value           float8,
    peak_value      float8,
    peak_at         int8,
    threshold          float8,
    recovery_threshold float8,
    unit            text NOT NULL DEFAULT '',
    details         jsonb NOT NULL DEFAULT '{}',                 -- members of an outage, and the like
    data_state      text NOT NULL DEFAULT 'fresh',               -- or why it cannot be judged now
    occurrences     int4 NOT NULL DEFAULT 1,
    flapping        bool NOT NULL DEFAULT false,
    withheld_by     text,                                        -- why nobody is told of it now
    inhibited_by    uuid,                                        -- the alert that stands before it
    acknowledged_at int8,
    acknowledged_by text,
    note            text,
    snoozed_until   int8,
    version         int4 NOT NULL DEFAULT 1,
    changed_at      int8 NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX alerts_fired_at ON alerts (fired_at DESC, id);
CREATE INDEX alerts_changed_at ON alerts (changed_at);
CREATE INDEX alerts_firing ON alerts (severity, fired_at) WHERE ended_at IS NULL;
CREATE INDEX alerts_agent_key ON alerts (agent_key, fired_at DESC);
CREATE INDEX alerts_rule_id ON alerts (rule_id, fired_at DESC);

-- What is not as it should be: no row means that all is well, so the table is as long as what is wrong.
CREATE TABLE alert_states (
    rule_id      uuid NOT NULL REFERENCES alert_rules (id) ON DELETE CASCADE,
    agent_key    int4 REFERENCES agents (key) ON DELETE CASCADE,
    series_key   int4 NOT NULL DEFAULT 0,                        -- of the disk or interface
    target       text NOT NULL DEFAULT '',                       -- as in alerts
    version      int4 NOT NULL,                                  -- judged_version of the rule
    state        int2 NOT NULL CHECK (state BETWEEN 0 AND 3),    -- 0 over, 1 pending, 2 firing, 3 recovering
    severity     int2 NOT NULL CHECK (severity BETWEEN 0 AND 3), -- the highest level that fires; 0 none
    held_ms      int8[] NOT NULL,                                -- by level, info first: observed time for which it has held
    clear_ms     int8[] NOT NULL,                                -- and been clear
    firing       bool[] NOT NULL,                                -- and whether the level fires
    unknown_ms   int8 NOT NULL DEFAULT 0,                        -- observed time for which it could not be judged
    last_verdict int2 NOT NULL DEFAULT 0,                        -- 0 none, 1 known, 2 unknown
    recent       int8[] NOT NULL DEFAULT '{}',                   -- when it fired within the last hour
    flapping     bool NOT NULL DEFAULT false,
    value        float8,
    reason       text,                                           -- why it cannot be judged
    alert_id     uuid REFERENCES alerts (id) ON DELETE SET NULL,
    started_at   int8 NOT NULL,                                  -- since when it holds
    changed_at   int8 NOT NULL,                                  -- when it fired or ended
    UNIQUE NULLS NOT DISTINCT (rule_id, agent_key, series_key, target)
) WITH (fillfactor = 70);
CREATE INDEX alert_states_agent_key ON alert_states (agent_key);
CREATE INDEX alert_states_alert_id ON alert_states (alert_id);

CREATE TABLE alert_events (
    id       int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id uuid REFERENCES alerts (id) ON DELETE CASCADE,      -- null: about Pika itself
    at       int8 NOT NULL,
    kind     text NOT NULL,                                      -- fired, escalated, resolved, told, system.blind, …
    value    float8,
    actor    text,                                               -- who, where it was somebody
    details  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_events_alert_id ON alert_events (alert_id, id);
CREATE INDEX alert_events_at ON alert_events (at);

-- What channels are to say, in order. Rows are made by the evaluator in the transaction that finds the difference, and sent
-- by the worker that holds the channel.
CREATE TABLE alert_outbox (
    id              int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id      uuid NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
    kind            text NOT NULL CHECK (kind IN ('alerts', 'test', 'system')),
    items           jsonb NOT NULL,                              -- [{alertId, transition, severity, at, value}]
    key             uuid NOT NULL UNIQUE,                        -- the same at every attempt: receivers drop what they know
    status          text NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'sending', 'sent', 'failed', 'expired', 'superseded')),
    attempts        int4 NOT NULL DEFAULT 0,
    created_at      int8 NOT NULL,
    next_attempt_at int8 NOT NULL,
    expires_at      int8 NOT NULL,
    sent_at         int8,
    last_error      text
) WITH (fillfactor = 70);
CREATE INDEX alert_outbox_waiting ON alert_outbox (channel_id, id) WHERE status IN ('waiting', 'sending');
CREATE INDEX alert_outbox_created_at ON alert_outbox (created_at);

CREATE TABLE alert_attempts (
    outbox_id   int8 NOT NULL REFERENCES alert_outbox (id) ON DELETE CASCADE,
    number      int4 NOT NULL,
    started_at  int8 NOT NULL,
    duration_ms int4,                                            -- null: it has not ended, or nobody saw it end
    result      text,
    http_status int4,
    error       text,
    PRIMARY KEY (outbox_id, number)
);

-- What each channel was told of each alert: the difference to what is so is what has to be said.
CREATE TABLE alert_told (
    alert_id   uuid NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
    told       int2 NOT NULL CHECK (told BETWEEN 1 AND 2),       -- 1 that it fires, 2 that it is over
    severity   int2 NOT NULL CHECK (severity BETWEEN 1 AND 3),
    told_at    int8 NOT NULL,
    repeat_at  int8,
    outbox_id  int8,
    reference  text,                                             -- what the receiver calls the message, to go on with it
    PRIMARY KEY (alert_id, channel_id)
);
CREATE INDEX alert_told_channel_id ON alert_told (channel_id);
CREATE INDEX alert_told_firing ON alert_told (repeat_at) WHERE told = 1;

CREATE TABLE alert_silences (
    id                   uuid PRIMARY KEY,
    kind                 text NOT NULL CHECK (kind IN ('silence', 'maintenance', 'quiet')),
    name                 text NOT NULL,
    comment              text NOT NULL DEFAULT '',
    matcher              jsonb NOT NULL,                         -- rules, scope and severities; nothing named: everything
    starts_at            int8,
    ends_at              int8,
    recurrence           jsonb,                                  -- null: once, from starts_at to ends_at
    min_severity_through int2 CHECK (min_severity_through BETWEEN 1 AND 3), -- from this on it is told all the same
    created_by           text NOT NULL,
    created_at           int8 NOT NULL,
    updated_at           int8 NOT NULL,
    version              int4 NOT NULL DEFAULT 1
);

CREATE INDEX sample_gaps_reported_at ON sample_gaps (reported_at);
