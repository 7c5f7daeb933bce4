-- The ledger, schema version 10: messages with variables.

-- What fills in the message of a batch's recipients, which is the same for each: what columns of lists say, a
-- JSON object. It stays when the batch is gone: whoever is asked again gets what was promised.
CREATE TABLE batch_values (
    run INTEGER NOT NULL REFERENCES run,
    batch INTEGER NOT NULL,
    column_values TEXT NOT NULL CHECK (json_valid(column_values)),
    PRIMARY KEY (run, batch)
) STRICT, WITHOUT ROWID;
