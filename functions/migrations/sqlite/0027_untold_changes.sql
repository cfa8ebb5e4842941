-- When it is to be told again, for nobody was yet; NULL: it was told.
ALTER TABLE notification_changes ADD COLUMN due_at TEXT;
CREATE INDEX notification_changes_due ON notification_changes (due_at) WHERE due_at IS NOT NULL;
