-- The owner whose place in the queue a delivery takes; empty: no owner.
ALTER TABLE delivery ADD COLUMN owner TEXT NOT NULL DEFAULT '';
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (queue, owner, due_at, id);
