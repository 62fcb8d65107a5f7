-- What callers have used of their quotas.

CREATE TABLE quota (
    limit_name TEXT NOT NULL,
    -- The id of a credential or partner, or the name of a route.
    subject TEXT NOT NULL,
    -- hour, day, month: of UTC.
    period TEXT NOT NULL,
    starts_at {INTEGER} NOT NULL,
    -- What was given out, and what nodes hold to give out.
    used {INTEGER} NOT NULL,
    -- What the last taker got.
    granted {INTEGER} NOT NULL,
    PRIMARY KEY (limit_name, subject, period, starts_at)
) {STRICT};

CREATE INDEX quota_starts ON quota (starts_at);
