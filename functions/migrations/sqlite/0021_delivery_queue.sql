-- Failures of a channel in a row, each round of messages sent at once counted once; and until when none may be sent
-- (`Retry-After`).
ALTER TABLE notifications ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notifications ADD COLUMN failed_at TEXT;
ALTER TABLE notifications ADD COLUMN not_before TEXT;

-- The target's host; empty: our own mail server's.
ALTER TABLE deliveries ADD COLUMN host TEXT NOT NULL DEFAULT '';
-- Failed tries of this attempt.
ALTER TABLE deliveries ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN asked_at TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN due_at TEXT NOT NULL DEFAULT '';
-- Set while a sender has it.
ALTER TABLE deliveries ADD COLUMN leased_at TEXT;
-- Of an email: the addresses that have it already, hashed, as a JSON array.
ALTER TABLE deliveries ADD COLUMN reached TEXT NOT NULL DEFAULT '[]';
UPDATE deliveries SET asked_at = created_at, due_at = created_at;
CREATE INDEX deliveries_waiting ON deliveries (notification_id, due_at, id)
    WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_waiting_for_host ON deliveries (host, user_id)
    WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_leased ON deliveries (user_id) WHERE leased_at IS NOT NULL;
CREATE INDEX deliveries_leased_for_host ON deliveries (host) WHERE leased_at IS NOT NULL;
