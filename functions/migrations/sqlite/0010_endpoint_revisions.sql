-- Grows with each change of what a check does or means.
ALTER TABLE endpoints ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
