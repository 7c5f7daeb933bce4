-- The ledger, schema version 5: what audiences come from.

-- The sources of a run's audience, as they were when it was opened.
CREATE TABLE run_source (
    run INTEGER NOT NULL REFERENCES run,
    -- In the order of the file, exclusions last.
    number INTEGER NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('include', 'exclude')),
    name TEXT NOT NULL,
    -- Of a list file: the digest of its bytes.
    sha256 TEXT,
    ids INTEGER NOT NULL,
    bad_lines INTEGER NOT NULL,
    -- The first of them: a JSON list of {line, what}.
    first_bad_lines TEXT NOT NULL CHECK (json_valid(first_bad_lines)),
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
