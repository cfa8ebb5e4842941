-- The newest revision of which the state machine was told: where it is older, endpoint-announce tells it again.
ALTER TABLE endpoints ADD COLUMN announced_revision INTEGER NOT NULL DEFAULT 1;
UPDATE endpoints SET announced_revision = revision;
CREATE INDEX endpoints_unannounced ON endpoints (id) WHERE announced_revision < revision;

-- What `status` was decided by: a change of an older revision does not undo it.
ALTER TABLE endpoints ADD COLUMN status_revision INTEGER NOT NULL DEFAULT 0;
-- Unix seconds; set while `status` is down.
ALTER TABLE endpoints ADD COLUMN down_since INTEGER;

-- What the newest result says, for `status_reason`. Its revision and slot (Unix seconds):
ALTER TABLE endpoints ADD COLUMN result_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN result_slot INTEGER;
-- Failed checks in a row.
ALTER TABLE endpoints ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
-- JSON; NULL: the check succeeded, and counts.
ALTER TABLE endpoints ADD COLUMN result_note TEXT;

ALTER TABLE notification_states ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- Since when the endpoint cannot be reached. An endpoint that answers, whatever it answers, says that its
-- region works: only this counts against a region. Microseconds.
ALTER TABLE notification_states ADD COLUMN unreachable_since INTEGER;
DROP INDEX notification_states_failing;
CREATE INDEX notification_states_unreachable ON notification_states (region, unreachable_since)
    WHERE unreachable_since IS NOT NULL;

-- recovered, paused; NULL while it is open.
ALTER TABLE report_incidents ADD COLUMN end_reason TEXT;
UPDATE report_incidents SET end_reason = 'recovered' WHERE ended_at IS NOT NULL;
