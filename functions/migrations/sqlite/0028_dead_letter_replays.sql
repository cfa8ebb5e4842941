-- When it is published again by itself; NULL: it was, or is left to people.
ALTER TABLE dead_letters ADD COLUMN due_at TEXT;
ALTER TABLE dead_letters ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dead_letters_due ON dead_letters (due_at) WHERE due_at IS NOT NULL;
