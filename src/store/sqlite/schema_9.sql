-- A call may name nobody: a delivery to `*`. A constraint cannot be changed in place.
ALTER TABLE attempt ADD COLUMN addressed TEXT CHECK (addressed IN ('users', 'user', 'group', 'unlisted'));
UPDATE attempt SET addressed = addressing WHERE addressing IS NOT NULL;
ALTER TABLE attempt DROP COLUMN addressing;
ALTER TABLE attempt RENAME COLUMN addressed TO addressing;
