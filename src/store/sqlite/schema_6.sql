-- The ledger, schema version 6: whether it is the newest copy of itself.

-- Counted by the daemons that work on it; the file beside the ledger counts along.
ALTER TABLE ledger ADD COLUMN generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0);
-- When the file system made the file of this generation, and of the one before: nanoseconds.
ALTER TABLE ledger ADD COLUMN file_born_at INTEGER;
ALTER TABLE ledger ADD COLUMN file_born_before INTEGER;
-- Nothing is sent from it, for this reason.
ALTER TABLE ledger ADD COLUMN locked_reason TEXT;
-- It was a copy until then: what was to happen in between is left to its original.
ALTER TABLE ledger ADD COLUMN restored_at INTEGER;

DROP VIEW campaign_status;
CREATE VIEW campaign_status AS
SELECT c.campaign,
    CASE
        WHEN c.state = 'removed' THEN 'removed'
        WHEN c.paused_reason IS NOT NULL OR (SELECT paused_reason FROM ledger) IS NOT NULL THEN 'paused'
        ELSE c.state
    END AS state,
    CASE
        WHEN (SELECT locked_reason FROM ledger) IS NOT NULL THEN 'ledgerLocked'
        WHEN c.rejected THEN 'rejectedEdit'
        WHEN c.removal_held THEN 'removalHeld'
        WHEN c.gone_since IS NOT NULL AND c.state <> 'removed' THEN 'fileGone'
    END AS problem,
    c.gateway, v.labels, c.revision, c.path, v.commit_id,
    CASE WHEN c.gone_since IS NULL
        THEN strftime('%Y-%m-%dT%H:%M:%fZ', c.next_occurrence / 1000.0, 'unixepoch')
    END AS next_occurrence,
    r.run AS last_run,
    CASE
        WHEN r.state = 'ending' THEN 'running'
        WHEN r.state = 'running' AND r.pending > 0 AND g.breaker <> 'closed' THEN 'paused'
        ELSE r.state
    END AS last_state
FROM campaign c
JOIN revision v ON v.revision = c.revision
LEFT JOIN run r ON r.id = (SELECT max(id) FROM run WHERE campaign = c.campaign)
LEFT JOIN gateway_state g ON g.gateway = r.gateway;
