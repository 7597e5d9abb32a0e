-- Usernames are found by a key, enrollment tokens end with the API token that made them, and names are normalised.

-- The username in NFC and small letters, as the server computes them: a database's own idea of small letters depends on its
-- locale. Null: not computed yet, or an older user has the same.
ALTER TABLE users ADD COLUMN username_key text;
CREATE UNIQUE INDEX users_username_key ON users (username_key);
DROP INDEX users_username_lower;

-- Pictures come over https or not at all.
UPDATE users SET avatar = '' WHERE avatar !~* '^https://';

ALTER TABLE enrollments
    ADD COLUMN api_token_id uuid REFERENCES api_tokens (id) ON DELETE CASCADE; -- null: not made with an API token
CREATE INDEX enrollments_api_token_id ON enrollments (api_token_id);

-- Which API token made those that are there, the audit log knows. What has outlived its API token ends now, the rest with
-- it, and everything within a year.
DELETE FROM enrollments USING audit_log
    WHERE action = 'enrollment.create' AND object_id = enrollments.id::text AND audit_log.api_token_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM api_tokens WHERE api_tokens.id = audit_log.api_token_id);
UPDATE enrollments SET api_token_id = api_tokens.id, expires_at = least(enrollments.expires_at, api_tokens.expires_at)
    FROM audit_log JOIN api_tokens ON api_tokens.id = audit_log.api_token_id
    WHERE action = 'enrollment.create' AND object_id = enrollments.id::text;
UPDATE enrollments SET expires_at = least(expires_at, (extract(epoch FROM now()) * 1000)::int8 + 31536000000);

-- Tags are looked for as they are kept. Only UTF-8 can be normalised.
DO $$
BEGIN
    IF getdatabaseencoding() = 'UTF8' THEN
        UPDATE agents SET tags = ARRAY(
            SELECT normalize(tag) FROM unnest(tags) WITH ORDINALITY AS tags (tag, n) ORDER BY n
        ) WHERE tags::text IS NOT NFC NORMALIZED;
    END IF;
END
$$;
