-- When a message of the current config first arrived, of a test or of an alert; NULL: never.
ALTER TABLE notifications ADD COLUMN tested_at TIMESTAMPTZ;
