-- Unix seconds: what remembers deleted users is purged, too.
ALTER TABLE endpoint_gone_users ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;
UPDATE endpoint_gone_users SET deleted_at = unixepoch();
CREATE INDEX endpoint_gone_users_by_time ON endpoint_gone_users (deleted_at);
ALTER TABLE status_gone_users ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;
UPDATE status_gone_users SET deleted_at = unixepoch();
CREATE INDEX status_gone_users_by_time ON status_gone_users (deleted_at);
