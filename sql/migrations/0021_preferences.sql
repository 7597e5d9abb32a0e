-- What users have chosen for themselves: how their console looks. The server does not look into it.

CREATE TABLE user_preferences (
    user_id     uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    preferences text NOT NULL CHECK (octet_length(preferences) <= 16384), -- a JSON object, as it was sent
    updated_at  int8 NOT NULL
);
