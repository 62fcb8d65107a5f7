-- Readers of properties: who they are, what they have seen, bought and subscribed to.

-- Who has signed in at least once. Anonymous readers are ids in tokens and hits, and nowhere else.
CREATE TABLE reader_account (
    id TEXT PRIMARY KEY,
    property_id TEXT NOT NULL REFERENCES property (id),
    user_name TEXT NOT NULL,
    -- In small letters.
    folded_name TEXT NOT NULL,
    first_name TEXT NOT NULL,
    email TEXT NOT NULL,
    -- administrator, manager, guest; empty: a reader and no more.
    role TEXT,
    -- The saved card, as the payment processor names it, and what people see of it.
    card TEXT,
    card_label TEXT,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE UNIQUE INDEX reader_account_name ON reader_account (property_id, folded_name);

-- The distinct pages that count for a reader's quota in a period.
CREATE TABLE reader_hit (
    -- Of an account or of an anonymous reader.
    reader_id TEXT NOT NULL,
    -- Daily, Weekly, Monthly, Yearly: of UTC.
    period TEXT NOT NULL,
    starts_at {INTEGER} NOT NULL,
    -- Its place in the quota, from 1 without gaps: two pages never have the same, and none has one
    -- above the quota but for those that came with a sign-in.
    slot {INTEGER} NOT NULL,
    resource_id TEXT NOT NULL,
    at {INTEGER} NOT NULL,
    PRIMARY KEY (reader_id, period, starts_at, slot)
) {STRICT};

CREATE UNIQUE INDEX reader_hit_resource ON reader_hit (reader_id, period, starts_at, resource_id);
CREATE INDEX reader_hit_age ON reader_hit (period, starts_at);

CREATE TABLE reader_purchase (
    id TEXT PRIMARY KEY,
    reader_id TEXT NOT NULL REFERENCES reader_account (id),
    resource_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    bought_at {INTEGER} NOT NULL,
    -- Empty: it lasts.
    expires_at {INTEGER}
) {STRICT};

CREATE INDEX reader_purchase_reader ON reader_purchase (reader_id, id);

-- Until when a reader has a subscription group; the row stays when that is over.
CREATE TABLE reader_subscription (
    reader_id TEXT NOT NULL REFERENCES reader_account (id),
    -- The GUID of the group.
    group_id TEXT NOT NULL,
    expires_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL,
    PRIMARY KEY (reader_id, group_id)
) {STRICT};

-- Tokens that count once.
CREATE TABLE temporary_token (
    -- The SHA-256 of the token.
    hash TEXT PRIMARY KEY,
    -- The key set at which it counts.
    credential_id TEXT NOT NULL,
    reader_id TEXT NOT NULL,
    -- The key of the page that the spider reads; empty: it is a reader's.
    spider_page TEXT,
    -- Whether the reader wants to be known for longer than a session.
    is_remembered {INTEGER} NOT NULL,
    expires_at {INTEGER} NOT NULL,
    used_at {INTEGER}
) {STRICT};

CREATE INDEX temporary_token_reader ON temporary_token (reader_id);
CREATE INDEX temporary_token_age ON temporary_token (expires_at);

-- How often pages were read and bought, for prices that follow from it.
CREATE TABLE resource_count (
    resource_id TEXT PRIMARY KEY,
    views {INTEGER} NOT NULL,
    sales {INTEGER} NOT NULL,
    -- Where a moving price stands, in US cents; empty: it has not moved yet.
    moved_minor {INTEGER},
    -- What the counts were when it was looked at last.
    moved_views {INTEGER} NOT NULL,
    moved_sales {INTEGER} NOT NULL
) {STRICT};

-- The reader who ordered; empty: the partner itself.
ALTER TABLE sales_order ADD COLUMN reader_id TEXT;

CREATE INDEX sales_order_reader ON sales_order (reader_id, id);
