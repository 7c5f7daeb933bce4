-- The ledger, schema version 14: clocks of providers.

-- What is known of a provider's clock where it is not ours, in milliseconds: messages are looked up by their times, by
-- the next daemon too.
CREATE TABLE gateway_clock (
    gateway TEXT PRIMARY KEY,
    "offset" INTEGER NOT NULL,
    learnt_at INTEGER,
    ahead_until INTEGER
) STRICT, WITHOUT ROWID;
