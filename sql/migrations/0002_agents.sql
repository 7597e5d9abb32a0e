-- The fleet: agents, what they are made of, and how they get in.

CREATE TABLE enrollments (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,                            -- SHA-256 of the token; the token itself is not kept
    max_uses   int4 NOT NULL CHECK (max_uses > 0),
    uses       int4 NOT NULL DEFAULT 0 CHECK (uses <= max_uses),
    expires_at int8 NOT NULL,
    created_at int8 NOT NULL
);

CREATE TABLE agents (
    key             int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- what metric rows carry: half the index of a uuid
    id              uuid NOT NULL UNIQUE,                        -- what everybody else calls it
    name            text NOT NULL,
    hostname        text NOT NULL,
    ip              text NOT NULL,                               -- as the agent reports it
    remote_address  text NOT NULL DEFAULT '',                    -- as the server sees it
    os              text NOT NULL,
    arch            text NOT NULL,
    version         text NOT NULL,
    secret_hash     bytea NOT NULL UNIQUE,                       -- SHA-256 of the agent's own secret
    enrollment_id   uuid REFERENCES enrollments (id) ON DELETE SET NULL,
    status          int2 NOT NULL DEFAULT 0 CHECK (status IN (0, 1)), -- 0 offline, 1 online
    connection_id   uuid,                                        -- the connection that speaks for the agent now
    clock_offset_ms int8 NOT NULL DEFAULT 0,                     -- server's clock minus agent's clock
    last_seen_at    int8,
    created_at      int8 NOT NULL,
    updated_at      int8 NOT NULL
) WITH (fillfactor = 70);                                        -- room for the frequent last_seen_at updates to stay on their page

CREATE TABLE disks (
    key         int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_key   int4 NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
    mount_point text NOT NULL,
    device      text NOT NULL,
    fs_type     text NOT NULL,
    created_at  int8 NOT NULL,
    UNIQUE (agent_key, mount_point)
);

CREATE TABLE network_interfaces (
    key        int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_key  int4 NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
    name       text NOT NULL,
    created_at int8 NOT NULL,
    UNIQUE (agent_key, name)
);
