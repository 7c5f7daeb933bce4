-- The ledger, schema version 12: requests that are made again while their provider answers them again.

-- The first attempt of the same request, whose answer was lost.
ALTER TABLE attempt ADD COLUMN repeats INTEGER REFERENCES attempt;
