-- The pages of properties, and how properties sell them.

-- JSON; empty until an administrator puts some.
ALTER TABLE property ADD COLUMN settings TEXT;
-- How often they were put.
ALTER TABLE property ADD COLUMN settings_version {INTEGER} NOT NULL DEFAULT 0;

CREATE TABLE resource (
    id TEXT PRIMARY KEY,
    property_id TEXT NOT NULL REFERENCES property (id),
    -- By which the property names it.
    external_key TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Whether it is managed.
    active {INTEGER} NOT NULL,
    url TEXT NOT NULL,
    title TEXT NOT NULL,
    byline TEXT NOT NULL,
    description TEXT NOT NULL,
    published_at {INTEGER} NOT NULL,
    -- The id of a pricing group in the settings of the property.
    pricing_group TEXT NOT NULL,
    -- JSON.
    pricing TEXT NOT NULL,
    paywall_description TEXT NOT NULL,
    paywall_short_description TEXT NOT NULL,
    -- What made it: api, page, bad-config.
    origin TEXT NOT NULL,
    changed_at {INTEGER} NOT NULL
) {STRICT};

CREATE UNIQUE INDEX resource_key ON resource (property_id, external_key);
CREATE INDEX resource_property ON resource (property_id, id);
