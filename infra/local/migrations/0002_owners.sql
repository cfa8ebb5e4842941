-- On whose account a delivery takes a place of its queue; empty: nobody's.
ALTER TABLE delivery ADD COLUMN owner TEXT NOT NULL DEFAULT '';
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (queue, owner, due_at, id);
