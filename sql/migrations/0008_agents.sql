-- What administrators do with agents: name them, tag them, revoke their secrets and enroll them again.

ALTER TABLE agents
    ADD COLUMN custom_name                  text,                -- shown instead of the agent's own name, where there is one
    ADD COLUMN tags                         text[] NOT NULL DEFAULT '{}',
    ADD COLUMN note                         text NOT NULL DEFAULT '',
    -- When connections with this identity last kept taking over from each other, and where they came from.
    ADD COLUMN identity_conflict_at         int8,
    ADD COLUMN identity_conflict_addresses  text[] NOT NULL DEFAULT '{}',
    ALTER COLUMN secret_hash DROP NOT NULL;                      -- null: revoked; nobody gets in as this agent

-- A token that lets no new agent in, but gives this one a new secret.
ALTER TABLE enrollments ADD COLUMN agent_key int4 REFERENCES agents (key) ON DELETE CASCADE;
CREATE INDEX enrollments_agent_key ON enrollments (agent_key);
