-- The ledger, schema version 1. Times are Unix milliseconds; the views show them as RFC 3339.

CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Distinguishes the operation ids of this ledger from those of any other.
    identity TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- `pause --all`: the reason, while it holds.
    paused_reason TEXT
) STRICT;

CREATE TABLE revision (
    revision INTEGER PRIMARY KEY,
    campaign TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    commit_id TEXT,
    dirty INTEGER CHECK (dirty IN (0, 1)),
    applied_at INTEGER NOT NULL,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    yaml BLOB NOT NULL
) STRICT;
CREATE INDEX revision_of_campaign ON revision (campaign, revision);

CREATE TABLE campaign (
    campaign TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'removed')),
    paused_reason TEXT,
    rejected INTEGER NOT NULL DEFAULT 0 CHECK (rejected IN (0, 1)),
    removal_held INTEGER NOT NULL DEFAULT 0 CHECK (removal_held IN (0, 1)),
    gone_since INTEGER,
    revision INTEGER NOT NULL REFERENCES revision,
    path TEXT NOT NULL,
    gateway TEXT NOT NULL,
    -- Every slot up to here is decided.
    decided_until INTEGER NOT NULL,
    next_occurrence INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    campaign TEXT NOT NULL,
    slot INTEGER NOT NULL,
    trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'manual', 'test')),
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'running', 'paused', 'ending', 'completed', 'cancelled', 'failed')),
    ending TEXT CHECK (ending IN ('cancelled', 'expired', 'failed')),
    reason TEXT,
    -- Whose resume it waits for.
    paused_by TEXT CHECK (paused_by IN ('run', 'campaign', 'all')),
    revision INTEGER NOT NULL REFERENCES revision,
    gateway TEXT NOT NULL,
    -- Of a test send: the named ids, a JSON list.
    only_to TEXT CHECK (json_valid(only_to)),
    due_at INTEGER NOT NULL,
    -- Nothing asked by then: missed.
    start_by INTEGER NOT NULL,
    -- What is left then expires.
    finish_by INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    next_batch INTEGER NOT NULL DEFAULT 1,
    audience INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted >= 0),
    refused INTEGER NOT NULL DEFAULT 0 CHECK (refused >= 0),
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    unknown INTEGER NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    excluded INTEGER NOT NULL DEFAULT 0 CHECK (excluded >= 0),
    expired INTEGER NOT NULL DEFAULT 0 CHECK (expired >= 0),
    cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    pending INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    in_flight INTEGER NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    CHECK (audience
        = accepted + refused + failed + unknown + excluded + expired + cancelled + pending + in_flight),
    CHECK ((state = 'ending') = (ending IS NOT NULL)),
    CHECK ((state = 'paused') = (paused_by IS NOT NULL)),
    CHECK ((state IN ('completed', 'cancelled', 'failed')) = (finished_at IS NOT NULL)),
    CHECK (state NOT IN ('completed', 'cancelled', 'failed') OR pending + in_flight = 0),
    CHECK (trigger = 'test' OR only_to IS NULL)
) STRICT;
CREATE UNIQUE INDEX run_of_slot ON run (campaign, slot) WHERE trigger = 'schedule';
CREATE INDEX run_of_campaign ON run (campaign, id);
CREATE INDEX run_open ON run (id) WHERE state IN ('pending', 'running', 'paused', 'ending');

-- Every slot whose time came. Its run, if it has one, is the scheduled run of the same slot.
CREATE TABLE occurrence (
    campaign TEXT NOT NULL,
    slot INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 1),
    decision TEXT NOT NULL CHECK (decision IN ('run', 'skipped', 'missed')),
    reason TEXT,
    decided_at INTEGER NOT NULL,
    PRIMARY KEY (campaign, slot),
    CHECK (decision = 'run' OR reason IS NOT NULL),
    CHECK (until_at >= slot AND (count = 1) = (until_at = slot))
) STRICT, WITHOUT ROWID;

-- What a run still has to ask, and what it is asking: a sorted range of recipients each.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'in_flight')),
    attempts INTEGER NOT NULL DEFAULT 0,
    count INTEGER NOT NULL CHECK (count >= 1),
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    recipients TEXT NOT NULL CHECK (json_valid(recipients)),
    attempt INTEGER REFERENCES attempt,
    UNIQUE (run, number),
    CHECK ((state = 'in_flight') = (attempt IS NOT NULL))
) STRICT;
CREATE INDEX batch_waiting ON batch (run, position) WHERE state = 'pending';
CREATE INDEX batch_in_flight ON batch (run) WHERE state = 'in_flight';

CREATE TABLE attempt (
    attempt INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('send', 'look')),
    run INTEGER NOT NULL REFERENCES run,
    batch INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    sender TEXT,
    -- The message's own time, by which it can be recognised again.
    send_time INTEGER,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    recipients INTEGER NOT NULL,
    http_status INTEGER,
    provider_code INTEGER,
    provider_message TEXT,
    accepted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    verdict TEXT CHECK (verdict IN ('answered', 'nothing_done', 'rejected', 'unanswered', 'withdrawn')),
    CHECK ((finished_at IS NULL) = (verdict IS NULL))
) STRICT;
CREATE INDEX attempt_of_run ON attempt (run, attempt);
CREATE INDEX attempt_of_gateway ON attempt (gateway, finished_at) WHERE kind = 'send';

-- One row a recipient whose outcome is known or unknown. The key makes a second one impossible.
CREATE TABLE delivery (
    run INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('accepted', 'refused', 'failed', 'unknown', 'excluded', 'expired', 'cancelled')),
    reason_code TEXT,
    reason TEXT,
    attempts INTEGER NOT NULL,
    batch INTEGER,
    server_msg_id TEXT,
    client_msg_id TEXT,
    send_time INTEGER,
    confirmed_at INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (run, recipient)
) STRICT, WITHOUT ROWID;
-- Used by queries that say `outcome <> 'accepted'` besides; costs nothing for what is accepted.
CREATE INDEX delivery_not_accepted ON delivery (run, outcome) WHERE outcome <> 'accepted';

-- The last send time given to a message of an account, so that none is given twice.
CREATE TABLE stamp (
    gateway TEXT NOT NULL,
    sender TEXT NOT NULL,
    last_send_time INTEGER NOT NULL,
    PRIMARY KEY (gateway, sender)
) STRICT, WITHOUT ROWID;

-- Gateways that rest because their provider does nothing: since when, until when, why.
CREATE TABLE gateway_rest (
    gateway TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL CHECK (until >= since),
    code TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE problem (
    path TEXT NOT NULL,
    campaign TEXT,
    severity TEXT NOT NULL CHECK (severity IN ('error', 'warning')),
    line INTEGER NOT NULL,
    "column" INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT;

CREATE TABLE action (
    action INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    verb TEXT NOT NULL,
    target TEXT NOT NULL,
    why TEXT
) STRICT;

-- What a command asks of the daemon, and the daemon's answer.
CREATE TABLE request (
    request INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    question TEXT NOT NULL CHECK (json_valid(question)),
    answer TEXT CHECK (json_valid(answer))
) STRICT;
CREATE INDEX request_open ON request (request) WHERE answer IS NULL;

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
    CASE r.state WHEN 'ending' THEN 'running' ELSE r.state END AS last_state
FROM campaign c
JOIN revision v ON v.revision = c.revision
LEFT JOIN run r ON r.id = (SELECT max(id) FROM run WHERE campaign = c.campaign);

CREATE VIEW occurrence_log AS
SELECT o.campaign,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.slot / 1000.0, 'unixepoch') AS occurrence,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.until_at / 1000.0, 'unixepoch') AS until_at,
    o.count, o.decision, o.reason,
    coalesce(r.started_at, o.decided_at) - o.due_at AS late_ms,
    r.run
FROM occurrence o
LEFT JOIN run r ON r.campaign = o.campaign AND r.slot = o.slot AND r.trigger = 'schedule';

CREATE VIEW run_summary AS
SELECT r.run, r.campaign,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.slot / 1000.0, 'unixepoch') AS occurrence,
    r.trigger,
    CASE r.state WHEN 'ending' THEN 'running' ELSE r.state END AS state,
    r.reason, r.revision, v.path, v.commit_id, r.gateway,
    v.labels,
    r.audience, r.accepted, r.refused, r.failed, r.unknown, r.excluded, r.expired, r.cancelled,
    r.pending, r.in_flight,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
    r.started_at - r.due_at AS late_ms
FROM run r
JOIN revision v ON v.revision = r.revision;

CREATE VIEW delivery_log AS
SELECT r.run, r.campaign,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.slot / 1000.0, 'unixepoch') AS occurrence,
    d.recipient, d.outcome, d.reason_code, d.reason, d.attempts, d.batch, d.server_msg_id, d.client_msg_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', d.send_time / 1000.0, 'unixepoch') AS send_time,
    strftime('%Y-%m-%dT%H:%M:%fZ', d.confirmed_at / 1000.0, 'unixepoch') AS confirmed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', d.updated_at / 1000.0, 'unixepoch') AS updated_at
-- The order is told, so that one person's history is one probe a run.
FROM run r CROSS JOIN delivery d ON d.run = r.id;

CREATE VIEW waiting_log AS
SELECT r.run, r.campaign, e.value AS recipient, b.state, b.number AS batch
FROM batch b JOIN run r ON r.id = b.run, json_each(b.recipients) e;

CREATE VIEW attempt_log AS
SELECT a.attempt, a.kind, r.run, a.batch, a.gateway, a.operation_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', a.finished_at / 1000.0, 'unixepoch') AS finished_at,
    a.recipients, a.http_status, a.provider_code, a.provider_message, a.accepted, a.refused, a.unknown, a.verdict
FROM attempt a JOIN run r ON r.id = a.run;

CREATE VIEW problem_status AS
SELECT path, campaign, severity, line, "column", code, message,
    strftime('%Y-%m-%dT%H:%M:%fZ', since / 1000.0, 'unixepoch') AS since
FROM problem;

CREATE VIEW revision_log AS
SELECT revision, campaign, path, sha256, commit_id, dirty,
    strftime('%Y-%m-%dT%H:%M:%fZ', applied_at / 1000.0, 'unixepoch') AS applied_at,
    yaml
FROM revision;

CREATE VIEW action_log AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at, who, verb AS action, target, why
FROM action;
