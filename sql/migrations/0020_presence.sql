-- When agents came and went: tells the holes in charts that are an agent's own from those of Pika, and is what availability is
-- reckoned from.

CREATE TABLE agent_presence (
    agent_key int4 NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
    at        int8 NOT NULL,                                     -- from then on
    online    bool,                                              -- null: not known, because no server was listening
    -- 0 found when this table was made, 1 registered, 2 heard again, 3 its connection ended, 4 not heard for too long,
    -- 5 its secret was revoked, 6 no server was listening
    reason    int2 NOT NULL CHECK (reason BETWEEN 0 AND 6),
    PRIMARY KEY (agent_key, at)
);
CREATE INDEX agent_presence_at ON agent_presence (at);

INSERT INTO agent_presence (agent_key, at, online, reason)
    SELECT key, coalesce(last_seen_at, created_at), status = 1, 0 FROM agents;

-- Whichever statement of whichever server changes an agent's status, the change is written down with it, at the last sign of
-- life: an agent that dies is offline from then on, not from when that was noticed.
CREATE FUNCTION pika_note_presence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest int8 := (SELECT max(at) FROM agent_presence WHERE agent_key = NEW.key);
    heard  int8 := coalesce(NEW.last_seen_at, NEW.updated_at);
    cause  int2 := 1;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.status = 1 AND NEW.status = 1 THEN
            -- Only the first insert of the two can meet one that is there.
            INSERT INTO agent_presence (agent_key, at, online, reason)
                VALUES (NEW.key, greatest(OLD.last_seen_at, newest), NULL, 6)
                ON CONFLICT (agent_key, at) DO UPDATE SET online = excluded.online, reason = excluded.reason;
        ELSIF NEW.status = 1 AND OLD.connection_id = NEW.connection_id THEN
            cause := 2;
        ELSIF NEW.status = 0 AND NEW.secret_hash IS NULL THEN
            cause := 5;
            heard := NEW.updated_at;
        ELSIF NEW.status = 0 THEN
            cause := CASE WHEN NEW.connection_id IS NULL THEN 3 ELSE 4 END;
        END IF;
    END IF;
    -- Clocks of several servers may differ by a little; time does not run backwards.
    INSERT INTO agent_presence (agent_key, at, online, reason)
        VALUES (NEW.key, greatest(heard, newest), NEW.status = 1, cause)
        ON CONFLICT (agent_key, at) DO UPDATE SET online = excluded.online, reason = excluded.reason;
    RETURN NULL;
END
$$;

CREATE TRIGGER agents_note_first_presence AFTER INSERT ON agents
    FOR EACH ROW EXECUTE FUNCTION pika_note_presence();
-- An agent that is back after five minutes in which nobody has marked it offline was not gone: nobody was there to listen.
CREATE TRIGGER agents_note_presence AFTER UPDATE OF status ON agents
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR (NEW.status = 1 AND OLD.connection_id <> NEW.connection_id
        AND BIGINT '300000' < NEW.last_seen_at - OLD.last_seen_at))
    EXECUTE FUNCTION pika_note_presence();
