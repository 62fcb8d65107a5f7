-- Partners, their integrations, credentials and secrets; the keys that sign tokens; the change feed.
-- Moments are microseconds since 1970 UTC. There is no environment column: each environment has a
-- database of its own.

CREATE TABLE partner (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    membership TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE TABLE integration (
    id TEXT PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    name TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX integration_partner ON integration (partner_id, id);

CREATE TABLE credential (
    id TEXT PRIMARY KEY,
    -- As PublicId folds it: GUIDs in capitals, all else letter by letter.
    public_id TEXT NOT NULL UNIQUE,
    integration_id TEXT NOT NULL REFERENCES integration (id),
    audience TEXT NOT NULL,
    schemes TEXT NOT NULL,
    scopes TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Tokens issued before this moment are dead.
    not_before_at {INTEGER} NOT NULL,
    created_at {INTEGER} NOT NULL,
    revoked_at {INTEGER}
) {STRICT};

CREATE INDEX credential_integration ON credential (integration_id, id);

CREATE TABLE secret (
    id TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL REFERENCES credential (id),
    -- hashed: a keyed hash, enough to check. sealed: encrypted, for secrets that must sign.
    form TEXT NOT NULL,
    -- The master key that the hash or the seal was made with.
    master_key_id TEXT NOT NULL,
    material {BLOB} NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX secret_credential ON secret (credential_id, id);

CREATE TABLE signing_key (
    kid TEXT PRIMARY KEY,
    -- Counts up from 1; two nodes that make the next key at once make only one.
    generation {INTEGER} NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    master_key_id TEXT NOT NULL,
    sealed {BLOB} NOT NULL,
    signs_from_at {INTEGER} NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value {INTEGER} NOT NULL
) {STRICT};

INSERT INTO counter (name, value) VALUES ('change', 0);

CREATE TABLE change (
    number {INTEGER} PRIMARY KEY,
    noun TEXT NOT NULL,
    object_id TEXT NOT NULL,
    at {INTEGER} NOT NULL
) {STRICT};
