-- The ledger, schema version 13: slots that are decided ahead of their instant.

-- The instant at which a crowd of slots is due, from the first decision made ahead of it until it has come or these
-- decisions have been taken back.
ALTER TABLE ledger ADD COLUMN crowd_due_at INTEGER;
