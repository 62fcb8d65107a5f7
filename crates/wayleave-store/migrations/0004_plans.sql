-- Plans of partners.

-- A plan of the configuration, whose limits count for the partner; empty: it has none.
ALTER TABLE partner ADD COLUMN plan TEXT;
