-- Schema version 7: what the guard needs to hold removals, and who has allowed them.

-- Since when it is in force without having been removed.
ALTER TABLE campaign ADD COLUMN in_force_since INTEGER NOT NULL DEFAULT 0;
-- Since when its file is missing and that is not obeyed.
ALTER TABLE campaign ADD COLUMN held_since INTEGER;
-- A person has said that its removal shall be obeyed.
ALTER TABLE campaign ADD COLUMN removal_allowed INTEGER NOT NULL DEFAULT 0 CHECK (removal_allowed IN (0, 1));

UPDATE campaign SET held_since = 0 WHERE removal_held;
