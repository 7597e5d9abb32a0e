-- People who use Pika, and how they stay logged in.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    username      text NOT NULL UNIQUE,
    password_hash text NOT NULL,                                 -- scrypt, in PHC string form
    nickname      text NOT NULL DEFAULT '',
    email         text NOT NULL DEFAULT '',
    phone         text NOT NULL DEFAULT '',
    avatar        text NOT NULL DEFAULT '',
    role          text NOT NULL CHECK (role IN ('admin', 'user')),
    status        int2 NOT NULL DEFAULT 1 CHECK (status IN (0, 1)), -- 0 disabled, 1 enabled
    created_at    int8 NOT NULL,
    updated_at    int8 NOT NULL
);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,                                -- SHA-256 of the token; the token itself is not kept
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at int8 NOT NULL,
    expires_at int8 NOT NULL,
    address    text NOT NULL DEFAULT '',                         -- where the login came from
    user_agent text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
