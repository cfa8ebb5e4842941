-- An endpoint that works, but not as it should.
ALTER TABLE notification_states ADD COLUMN degraded BOOLEAN NOT NULL DEFAULT FALSE;
-- How many results in a row spoke against that.
ALTER TABLE notification_states ADD COLUMN degraded_run INTEGER NOT NULL DEFAULT 0;
-- Whether a notification is told of it.
ALTER TABLE notifications ADD COLUMN send_degraded BOOLEAN NOT NULL DEFAULT TRUE;
-- How many of those that are up were degraded.
ALTER TABLE report_rollups ADD COLUMN degraded BIGINT NOT NULL DEFAULT 0;
