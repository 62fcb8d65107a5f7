-- Properties: content sites of partners, whose key sets are credentials bound to them.

CREATE TABLE property (
    id TEXT PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    name TEXT NOT NULL,
    -- Where its pages live, separated by one blank.
    origins TEXT NOT NULL,
    created_at {INTEGER} NOT NULL
) {STRICT};

CREATE INDEX property_partner ON property (partner_id, id);

-- The property whose key set it is; one of the same partner.
ALTER TABLE credential ADD COLUMN property_id TEXT;

CREATE INDEX credential_property ON credential (property_id, id);
