-- External subscribers, what is done about them later, and what is told of it.

-- Where events of a property are told to; of key sets for management only.
ALTER TABLE credential ADD COLUMN callback_url TEXT;

-- Somebody whose subscription is kept elsewhere.
CREATE TABLE subscriber (
    id TEXT PRIMARY KEY,
    property_id TEXT NOT NULL REFERENCES property (id),
    -- By which it is known elsewhere.
    subscriber_key TEXT NOT NULL,
    -- How many readers may be linked to it, and how many are.
    most_linked {INTEGER} NOT NULL,
    linked {INTEGER} NOT NULL,
    -- JSON: what a reader must give; which groups may be bought, and which are had, until when.
    validation TEXT NOT NULL,
    eligible TEXT NOT NULL,
    automatic TEXT NOT NULL,
    -- By which it is found by what a reader gives; empty where nobody can prove to be it.
    fingerprint TEXT NOT NULL,
    created_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL
) {STRICT};

CREATE UNIQUE INDEX subscriber_known_as ON subscriber (property_id, subscriber_key);
CREATE INDEX subscriber_changed ON subscriber (property_id, changed_at, id);
CREATE INDEX subscriber_fingerprint ON subscriber (property_id, fingerprint);

-- A reader that has proved to be a subscriber.
CREATE TABLE subscriber_link (
    subscriber_id TEXT NOT NULL REFERENCES subscriber (id),
    reader_id TEXT NOT NULL,
    linked_at {INTEGER} NOT NULL,
    PRIMARY KEY (subscriber_id, reader_id)
) {STRICT};

CREATE INDEX subscriber_link_reader ON subscriber_link (reader_id, subscriber_id);

-- What else a property is told of a reader, as JSON.
CREATE TABLE reader_detail (
    reader_id TEXT PRIMARY KEY,
    details TEXT NOT NULL
) {STRICT};

CREATE INDEX reader_subscription_group ON reader_subscription (group_id, reader_id);

-- An import or export that was asked for.
CREATE TABLE queued (
    id TEXT PRIMARY KEY,
    property_id TEXT NOT NULL REFERENCES property (id),
    kind TEXT NOT NULL,
    -- queued, working, done, failed.
    state TEXT NOT NULL,
    -- What was asked for, as JSON.
    request TEXT NOT NULL,
    -- By which its result is fetched once it is done.
    token TEXT NOT NULL,
    -- How many subscribers it is about, where that is known; of these done, and failed.
    total {INTEGER},
    done {INTEGER} NOT NULL,
    failed {INTEGER} NOT NULL,
    -- How far an export has come.
    at_subscriber TEXT NOT NULL,
    created_at {INTEGER} NOT NULL,
    changed_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX queued_property ON queued (property_id, created_at, id);
CREATE INDEX queued_age ON queued (changed_at);

-- What an import has still to do.
CREATE TABLE queued_piece (
    queued_id TEXT NOT NULL REFERENCES queued (id),
    place {INTEGER} NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (queued_id, place)
) {STRICT};

-- What an import could not take.
CREATE TABLE queued_error (
    queued_id TEXT NOT NULL REFERENCES queued (id),
    place {INTEGER} NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (queued_id, place)
) {STRICT};

-- An event that a property is told of.
CREATE TABLE callback (
    token TEXT PRIMARY KEY,
    property_id TEXT NOT NULL REFERENCES property (id),
    kind TEXT NOT NULL,
    -- The import or export that is done.
    queued_id TEXT,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX callback_age ON callback (created_at);

-- The result of an event, in pieces; those of an export are there before the event is.
CREATE TABLE callback_result (
    token TEXT NOT NULL,
    place {INTEGER} NOT NULL,
    document TEXT NOT NULL,
    created_at {INTEGER} NOT NULL,
    PRIMARY KEY (token, place)
) {STRICT};

CREATE INDEX callback_result_age ON callback_result (created_at);
