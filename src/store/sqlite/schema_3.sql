-- Looking up what is unknown.

-- How the recipients were addressed, and the sorted range in which they stand: so the deliveries of an
-- attempt are found by their key.
ALTER TABLE attempt ADD COLUMN addressing TEXT CHECK (addressing IN ('users', 'user', 'group'));
ALTER TABLE attempt ADD COLUMN first TEXT;
ALTER TABLE attempt ADD COLUMN last TEXT;
-- The account to which a message was sent only to be seen again.
ALTER TABLE attempt ADD COLUMN probe TEXT;

-- Whether its one recipient is asked by the call that says why it fails.
ALTER TABLE batch ADD COLUMN single INTEGER NOT NULL DEFAULT 0 CHECK (single = 0 OR (single = 1 AND count = 1));

-- Whether the accepted messages have begun to be confirmed.
ALTER TABLE run ADD COLUMN confirming INTEGER NOT NULL DEFAULT 0 CHECK (confirming IN (0, 1));
-- A person has reopened it, and no daemon has taken it up yet.
ALTER TABLE run ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0 CHECK (reopened IN (0, 1));
CREATE INDEX run_reopened ON run (id) WHERE reopened = 1;

-- What became of one attempt's recipients is being asked. The row is gone when all is settled or held.
CREATE TABLE inquiry (
    inquiry INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    attempt INTEGER NOT NULL REFERENCES attempt,
    purpose TEXT NOT NULL CHECK (purpose IN ('settle', 'confirm')),
    gateway TEXT NOT NULL,
    -- The sorted range in which the recipients stand that are sought.
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    -- When something of its batch last appeared; at first when its request ended.
    appeared_at INTEGER NOT NULL,
    looks INTEGER NOT NULL DEFAULT 0,
    next_look_at INTEGER NOT NULL,
    -- For people.
    waits_for TEXT NOT NULL DEFAULT '',
    UNIQUE (attempt, purpose)
) STRICT;
CREATE INDEX inquiry_due ON inquiry (gateway, next_look_at);
CREATE INDEX inquiry_of_run ON inquiry (run);

-- The inquiry that seeks it, while one does.
ALTER TABLE delivery ADD COLUMN sought_by INTEGER CHECK (sought_by IS NULL OR outcome = 'unknown');

-- When a gateway was last seen not to work.
CREATE TABLE gateway_health (
    gateway TEXT PRIMARY KEY,
    unhealthy_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
