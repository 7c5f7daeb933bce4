-- The ledger, schema version 8: occurrences that wait in a queue, windows that pause runs.

-- The slot that waits for the last run to be over (`overlap: queue`).
ALTER TABLE campaign ADD COLUMN queued_slot INTEGER;

-- When the revision in force was applied: a slot that was due before is not its own. Never ahead of the
-- clock, unlike `revision.applied_at`, when the clock has been set back.
ALTER TABLE campaign ADD COLUMN counts_from INTEGER NOT NULL DEFAULT 0;
UPDATE campaign SET counts_from = (SELECT applied_at FROM revision v WHERE v.revision = campaign.revision);

-- Why the window of the run's campaign is closed, while it is.
ALTER TABLE run ADD COLUMN window_closed TEXT;

-- `paused_by` has one word more. A CHECK cannot be altered but in the text of the schema, which SQLite
-- documents for changes like this that touch no row (https://sqlite.org/lang_altertable.html#otheralter).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'paused_by IN (''run'', ''campaign'', ''all''', 'paused_by IN (''run'', ''campaign'', ''all'', ''window''')
WHERE type = 'table' AND name = 'run';
PRAGMA writable_schema = RESET;
