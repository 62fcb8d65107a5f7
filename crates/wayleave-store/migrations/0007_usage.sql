-- What was used: requests by hour and by day (of UTC).

CREATE TABLE usage_hour (
    -- When the hour began.
    starts_at {INTEGER} NOT NULL,
    partner_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    route TEXT NOT NULL,
    -- proxied: answered by the API behind, or for it. refused: not passed on. checked: asked about by
    -- another proxy.
    kind TEXT NOT NULL,
    status {INTEGER} NOT NULL,
    requests {INTEGER} NOT NULL,
    request_bytes {INTEGER} NOT NULL,
    answer_bytes {INTEGER} NOT NULL,
    PRIMARY KEY (starts_at, partner_id, credential_id, route, kind, status)
) {STRICT};

-- The same by the day.
CREATE TABLE usage_day (
    starts_at {INTEGER} NOT NULL,
    partner_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    route TEXT NOT NULL,
    kind TEXT NOT NULL,
    status {INTEGER} NOT NULL,
    requests {INTEGER} NOT NULL,
    request_bytes {INTEGER} NOT NULL,
    answer_bytes {INTEGER} NOT NULL,
    PRIMARY KEY (starts_at, partner_id, credential_id, route, kind, status)
) {STRICT};

-- A run of a node, and the number of the last batch of counts that it has written: each counts once.
CREATE TABLE usage_run (
    run TEXT PRIMARY KEY,
    batch {INTEGER} NOT NULL,
    written_at {INTEGER} NOT NULL
) {STRICT};
