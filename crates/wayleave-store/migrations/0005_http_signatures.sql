-- Signatures over messages (RFC 9421).

-- Nonces of accepted signatures, for as long as the signature could be presented again: all of them
-- where several nodes share the database; with one node those of signatures that were made ahead of
-- its clock, which a restart must not forget.
CREATE TABLE used_nonce (
    -- A hash of credential and nonce.
    name TEXT PRIMARY KEY,
    expires_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX used_nonce_expires ON used_nonce (expires_at);
