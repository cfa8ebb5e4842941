ALTER TABLE notifications RENAME COLUMN channel TO kind;
ALTER TABLE deliveries RENAME COLUMN channel TO kind;
