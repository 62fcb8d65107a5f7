-- The partner platform: catalogue, accounts, customers, orders and what they deliver, jobs, mail.

-- The last number by which clients name something; nodes take them in blocks.
INSERT INTO counter (name, value) VALUES ('platform', 1000);

-- What is sold. A version is never changed; the newest one counts.
CREATE TABLE catalogue (
    version {INTEGER} PRIMARY KEY,
    document TEXT NOT NULL,
    put_by TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

-- How a partner buys.
CREATE TABLE account (
    partner_id TEXT PRIMARY KEY REFERENCES partner (id),
    -- By which clients name the company.
    number {INTEGER} NOT NULL UNIQUE,
    billing_name TEXT NOT NULL,
    billing_email TEXT NOT NULL,
    price_list TEXT NOT NULL,
    -- Empty: the catalogue's.
    currency TEXT,
    -- The saved card, as the payment processor names it, and what people see of it.
    card TEXT,
    card_label TEXT,
    -- How many orders it has, so that a page of them need not count them.
    orders {INTEGER} NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE TABLE customer (
    id TEXT PRIMARY KEY,
    number {INTEGER} NOT NULL UNIQUE,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    -- The partner's own id of it.
    reference TEXT,
    name TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE UNIQUE INDEX customer_reference ON customer (partner_id, reference);

CREATE TABLE sales_order (
    id TEXT PRIMARY KEY,
    number {INTEGER} NOT NULL UNIQUE,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    state TEXT NOT NULL,
    catalogue_version {INTEGER} NOT NULL,
    currency TEXT NOT NULL,
    subtotal_minor {INTEGER} NOT NULL,
    discount_minor {INTEGER} NOT NULL,
    tax_minor {INTEGER} NOT NULL,
    total_minor {INTEGER} NOT NULL,
    -- Whether the saved card is charged; empty before it was accepted.
    auto_pay {INTEGER},
    hook_url TEXT,
    payment_link TEXT,
    created_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL,
    expires_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX sales_order_partner ON sales_order (partner_id, id);
CREATE INDEX sales_order_state ON sales_order (state, changed_at);

CREATE TABLE order_line (
    order_id TEXT NOT NULL REFERENCES sales_order (id),
    place {INTEGER} NOT NULL,
    product {INTEGER} NOT NULL,
    customer_id TEXT,
    details TEXT NOT NULL,
    unit_minor {INTEGER} NOT NULL,
    quantity {INTEGER} NOT NULL,
    months {INTEGER} NOT NULL,
    total_minor {INTEGER} NOT NULL,
    -- What it became, once that is there.
    delivered_id TEXT,
    delivered_at {INTEGER},
    PRIMARY KEY (order_id, place)
) {STRICT};

-- A payment that is or was attempted. The row is there before the processor is asked.
CREATE TABLE charge (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES sales_order (id),
    partner_id TEXT NOT NULL,
    card TEXT NOT NULL,
    amount_minor {INTEGER} NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX charge_order ON charge (order_id, id);

CREATE TABLE instance (
    id TEXT PRIMARY KEY,
    number {INTEGER} NOT NULL UNIQUE,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    customer_id TEXT,
    order_id TEXT NOT NULL,
    account_name TEXT NOT NULL,
    -- In small letters; empty once it is removed, so that the name is free again.
    folded_name TEXT UNIQUE,
    displays {INTEGER} NOT NULL,
    is_demo {INTEGER} NOT NULL,
    is_monthly {INTEGER} NOT NULL,
    renews {INTEGER} NOT NULL,
    -- The numbers of what it is made of.
    made_of TEXT NOT NULL,
    renewal_at {INTEGER} NOT NULL,
    created_at {INTEGER} NOT NULL,
    removed_at {INTEGER}
) {STRICT};

CREATE INDEX instance_partner ON instance (partner_id, id);

-- Names whose instances are being made, in small letters, and for which order: one at a time.
CREATE TABLE name_claim (
    folded_name TEXT PRIMARY KEY,
    order_id TEXT NOT NULL
) {STRICT};

CREATE TABLE licence_pool (
    id TEXT PRIMARY KEY,
    number {INTEGER} NOT NULL UNIQUE,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    customer_id TEXT,
    email TEXT NOT NULL,
    folded_email TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

-- One pool for an address of a customer, or of the partner itself.
CREATE UNIQUE INDEX licence_pool_address
    ON licence_pool (partner_id, folded_email, COALESCE(customer_id, ''));

-- The licences of a pool for one version.
CREATE TABLE pool_version (
    number {INTEGER} PRIMARY KEY,
    pool_id TEXT NOT NULL REFERENCES licence_pool (id),
    version TEXT NOT NULL,
    licences {INTEGER} NOT NULL,
    upgrades {INTEGER} NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE UNIQUE INDEX pool_version_pool ON pool_version (pool_id, version);

CREATE TABLE device (
    number {INTEGER} PRIMARY KEY,
    pool_version {INTEGER} NOT NULL REFERENCES pool_version (number),
    -- Its hardware address.
    hardware TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    manufacturer TEXT NOT NULL,
    version_code {INTEGER} NOT NULL,
    is_blocked {INTEGER} NOT NULL,
    is_rental {INTEGER} NOT NULL,
    seen_at {INTEGER}
) {STRICT};

CREATE INDEX device_pool_version ON device (pool_version, number);

-- A plan that a partner has for a time.
CREATE TABLE plan_term (
    id TEXT PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    order_id TEXT NOT NULL,
    plan TEXT NOT NULL,
    catalogue_version {INTEGER} NOT NULL,
    renews {INTEGER} NOT NULL,
    starts_at {INTEGER} NOT NULL,
    ends_at {INTEGER} NOT NULL,
    ended_at {INTEGER}
) {STRICT};

CREATE INDEX plan_term_partner ON plan_term (partner_id, ends_at);

-- Something that is to be done later, once, by whichever node comes first. A job that sends
-- something to the outside is what the outbox is made of.
CREATE TABLE job (
    -- What is done and to what: the same is never there twice.
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    object TEXT NOT NULL,
    payload TEXT NOT NULL,
    -- waiting, done, failed.
    state TEXT NOT NULL,
    run_at {INTEGER} NOT NULL,
    -- Until when the node that works at it has it to itself.
    leased_until {INTEGER} NOT NULL,
    attempts {INTEGER} NOT NULL,
    last_error TEXT,
    created_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX job_due ON job (state, run_at);
CREATE INDEX job_object ON job (object);

-- The pretended mailbox.
CREATE TABLE mail (
    id TEXT PRIMARY KEY,
    partner_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

-- Answers to writes that were sent with an Idempotency-Key.
CREATE TABLE idempotency_key (
    credential_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Of method, path and body.
    fingerprint TEXT NOT NULL,
    status {INTEGER} NOT NULL,
    body TEXT NOT NULL,
    created_at {INTEGER} NOT NULL,
    PRIMARY KEY (credential_id, name)
) {STRICT};

CREATE INDEX idempotency_key_age ON idempotency_key (created_at);

-- The customer to whom a credential is limited.
ALTER TABLE credential ADD COLUMN customer_id TEXT;

CREATE INDEX credential_customer ON credential (id) WHERE customer_id IS NOT NULL;
