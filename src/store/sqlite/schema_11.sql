-- The ledger, schema version 11: requests that are under way are found without looking at all of them.

CREATE INDEX attempt_under_way ON attempt (attempt) WHERE finished_at IS NULL;
