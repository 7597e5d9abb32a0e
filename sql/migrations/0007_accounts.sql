-- Managing users: names regardless of case, sessions that can be listed, API tokens, second factors, and the audit log.

CREATE UNIQUE INDEX users_username_lower ON users (lower(username));
ALTER TABLE users DROP CONSTRAINT users_username_key;

ALTER TABLE sessions
    ADD COLUMN id           uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- what the session is called by
    ADD COLUMN last_used_at int8;                                -- written at most once a minute
ALTER TABLE sessions ALTER COLUMN id DROP DEFAULT;

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,                          -- SHA-256 of the token; the token itself is not kept
    scopes       text[] NOT NULL,
    created_at   int8 NOT NULL,
    expires_at   int8,                                           -- null: never
    last_used_at int8                                            -- written at most once a minute
);
CREATE INDEX api_tokens_user_id ON api_tokens (user_id);

CREATE TABLE totp (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       bytea NOT NULL,                                 -- needed as it is to compute codes
    created_at   int8 NOT NULL,
    confirmed_at int8,                                           -- null: not asked for yet
    last_step    int8 NOT NULL DEFAULT 0                         -- the 30 s step of the last code: no code counts twice
);

CREATE TABLE recovery_codes (
    user_id   uuid NOT NULL REFERENCES totp (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,                                    -- SHA-256; deleted when used
    PRIMARY KEY (user_id, code_hash)
);

-- Names are kept beside the ids, and nothing is referenced: the log outlives what it speaks of.
CREATE TABLE audit_log (
    id           int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           int8 NOT NULL,
    actor_kind   text NOT NULL,                                  -- user, api_token, command_line, system, nobody
    actor_id     uuid,                                           -- the user, also where one of its API tokens acted
    actor_name   text NOT NULL,
    api_token_id uuid,
    action       text NOT NULL,
    object_kind  text,
    object_id    text,
    object_name  text,
    address      text NOT NULL,
    request_id   text NOT NULL,
    details      jsonb NOT NULL
);
CREATE INDEX audit_log_at ON audit_log (at);
