-- The price from which a moving one moved, in US cents: where that is another now, it begins anew.
ALTER TABLE resource_count ADD COLUMN moved_from_minor {INTEGER};
