-- The ledger, schema version 2: people who must never be written to.

CREATE TABLE suppression (
    recipient TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    -- From then on it holds no more; none: for good.
    expires_at INTEGER CHECK (expires_at > added_at)
) STRICT, WITHOUT ROWID;
