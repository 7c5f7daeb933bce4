-- The ledger, schema version 4: gateways that wait for their providers, batches that are tried again
-- later, runs that stop when too many fail.

DROP TABLE gateway_rest;

-- What each gateway's breaker says, and the quiet that its provider asks for.
CREATE TABLE gateway_state (
    gateway TEXT PRIMARY KEY,
    breaker TEXT NOT NULL CHECK (breaker IN ('closed', 'open', 'half_open')),
    -- Since when the provider is out of order, or since when it works again.
    since INTEGER,
    -- When an open breaker asks the provider again.
    until INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    code TEXT,
    reason TEXT,
    quiet_since INTEGER,
    quiet_until INTEGER,
    quiet_code TEXT,
    quiet_reason TEXT,
    CHECK ((breaker = 'open') = (until IS NOT NULL)),
    CHECK ((breaker = 'closed') = (code IS NULL) AND (code IS NULL) = (reason IS NULL)),
    CHECK (breaker = 'closed' OR since IS NOT NULL),
    CHECK ((quiet_until IS NULL) = (quiet_since IS NULL) AND (quiet_until IS NULL) = (quiet_reason IS NULL)
        AND (quiet_until IS NULL) = (quiet_code IS NULL))
) STRICT, WITHOUT ROWID;

-- Tries that proved that nothing was done, and in which time the batch is not asked again.
ALTER TABLE batch ADD COLUMN tries INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0);
ALTER TABLE batch ADD COLUMN waits_from INTEGER;
ALTER TABLE batch ADD COLUMN waits_until INTEGER;

-- What `stopWhen` has judged already: a person has resumed the run since.
ALTER TABLE run ADD COLUMN judged_answered INTEGER NOT NULL DEFAULT 0 CHECK (judged_answered >= 0);
ALTER TABLE run ADD COLUMN judged_failed INTEGER NOT NULL DEFAULT 0
    CHECK (judged_failed BETWEEN 0 AND judged_answered);

-- A run that would run is paused while its gateway's breaker is not closed. It goes on by itself, so its
-- own state stays.
DROP VIEW run_summary;
CREATE VIEW run_summary AS
SELECT r.run, r.campaign,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.slot / 1000.0, 'unixepoch') AS occurrence,
    r.trigger,
    CASE
        WHEN r.state = 'ending' THEN 'running'
        WHEN r.state = 'running' AND r.pending > 0 AND g.breaker <> 'closed' THEN 'paused'
        ELSE r.state
    END AS state,
    CASE
        WHEN r.state = 'running' AND r.pending > 0 AND g.breaker <> 'closed'
            THEN 'breaker: ' || r.gateway || ' is out of order: ' || g.reason || ' (' || g.code || ')'
        ELSE r.reason
    END AS reason,
    r.revision, v.path, v.commit_id, r.gateway,
    v.labels,
    r.audience, r.accepted, r.refused, r.failed, r.unknown, r.excluded, r.expired, r.cancelled,
    r.pending, r.in_flight,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
    r.started_at - r.due_at AS late_ms
FROM run r
JOIN revision v ON v.revision = r.revision
LEFT JOIN gateway_state g ON g.gateway = r.gateway;

DROP VIEW campaign_status;
CREATE VIEW campaign_status AS
SELECT c.campaign,
    CASE
        WHEN c.state = 'removed' THEN 'removed'
        WHEN c.paused_reason IS NOT NULL OR (SELECT paused_reason FROM ledger) IS NOT NULL THEN 'paused'
        ELSE c.state
    END AS state,
    CASE
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

-- Gateways that have ever waited for their provider.
CREATE VIEW gateway_status AS
SELECT gateway, breaker,
    strftime('%Y-%m-%dT%H:%M:%fZ', since / 1000.0, 'unixepoch') AS since,
    strftime('%Y-%m-%dT%H:%M:%fZ', until / 1000.0, 'unixepoch') AS until,
    failures, code AS reason_code, reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', quiet_since / 1000.0, 'unixepoch') AS quiet_since,
    strftime('%Y-%m-%dT%H:%M:%fZ', quiet_until / 1000.0, 'unixepoch') AS quiet_until,
    quiet_code, quiet_reason
FROM gateway_state;
