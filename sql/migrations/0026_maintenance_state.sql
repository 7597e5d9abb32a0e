-- When maintenance last succeeded, on whichever server, and what it found: alert rules about Pika itself ask for it.

CREATE TABLE maintenance_state (
    is_only_row    bool PRIMARY KEY DEFAULT true CHECK (is_only_row),
    succeeded_at   int8,                                         -- null: not yet
    unhealthy_jobs int4 NOT NULL DEFAULT 0                       -- jobs of the database that did not do their work then
);
INSERT INTO maintenance_state DEFAULT VALUES;
