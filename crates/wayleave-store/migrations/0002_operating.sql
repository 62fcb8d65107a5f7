-- The life of a credential, revoked tokens, sealed values and the audit trail.
-- Moments are microseconds since 1970 UTC.

-- For people: what the credential is used for.
ALTER TABLE credential ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- Dead from this moment on, with its tokens.
ALTER TABLE credential ADD COLUMN expires_at {INTEGER};

-- Dead from this moment on: the end of an overlap.
ALTER TABLE secret ADD COLUMN expires_at {INTEGER};
-- When a newer secret took its place.
ALTER TABLE secret ADD COLUMN superseded_at {INTEGER};
-- Ended early once it was not used for so long after that, in microseconds.
ALTER TABLE secret ADD COLUMN retire_unused_us {INTEGER};
-- Written in batches and only forward.
ALTER TABLE secret ADD COLUMN last_used_at {INTEGER};

-- Only tokens that were revoked before they expired (law 6).
CREATE TABLE revoked_token (
    jti TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL,
    expires_at {INTEGER} NOT NULL,
    revoked_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX revoked_token_expires ON revoked_token (expires_at);

-- Texts of our own that need a master key, such as the key of the audit trail.
CREATE TABLE sealed_value (
    name TEXT PRIMARY KEY,
    master_key_id TEXT NOT NULL,
    sealed {BLOB} NOT NULL
) {STRICT};

-- Who did what. Rows are added and never changed; each hash covers its row and the hash before it.
CREATE TABLE audit (
    number {INTEGER} PRIMARY KEY,
    at {INTEGER} NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    object TEXT NOT NULL,
    -- begun: before the act. done, failed: after it.
    stage TEXT NOT NULL,
    -- The number of the row that began the act; its own where it begins one.
    begun {INTEGER} NOT NULL,
    request_id TEXT NOT NULL,
    -- JSON, without secrets.
    details TEXT NOT NULL,
    hash {BLOB} NOT NULL
) {STRICT};

INSERT INTO counter (name, value) VALUES ('audit', 0);
