-- The ledger, schema version 15: what people have had of earlier runs is asked for every batch, and found by an index.

-- Of all campaigns and of one: open runs, which are over at no time, and those that were over after an instant. Not only
-- of runs that were started: each batch writes that down again, and the indexes would be written with it.
CREATE INDEX run_over ON run (finished_at);
CREATE INDEX run_of_campaign_over ON run (campaign, finished_at);
