-- The ledger, schema version 16: each retry has as much time as the run had at first.

-- From when its time counts: when it was due, or a person had some of its recipients asked again.
ALTER TABLE run ADD COLUMN time_counts_from INTEGER;
