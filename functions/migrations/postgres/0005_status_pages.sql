CREATE TABLE status_pages (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    published BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX status_pages_by_user ON status_pages (user_id, id);

-- Positions start at 0, in display order.
CREATE TABLE status_page_groups (
    status_page_id BIGINT NOT NULL REFERENCES status_pages (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (status_page_id, position)
);

-- Each endpoint is on a page at most once.
CREATE TABLE status_page_endpoints (
    status_page_id BIGINT NOT NULL REFERENCES status_pages (id) ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    group_position INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (status_page_id, endpoint_id)
);
CREATE INDEX status_page_endpoints_by_endpoint ON status_page_endpoints (endpoint_id);

-- With the groups as a JSON array of {name, endpoint_ids}.
CREATE VIEW status_page_rows AS
SELECT p.*, COALESCE((
    SELECT JSON_AGG(JSON_BUILD_OBJECT('name', g.name, 'endpoint_ids', COALESCE((
        SELECT JSON_AGG(e.endpoint_id ORDER BY e.position) FROM status_page_endpoints e
        WHERE e.status_page_id = g.status_page_id AND e.group_position = g.position), '[]')) ORDER BY g.position)::TEXT
    FROM status_page_groups g WHERE g.status_page_id = p.id), '[]') AS groups
FROM status_pages p;

CREATE TABLE status_announcements (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    status_page_id BIGINT NOT NULL REFERENCES status_pages (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    severity TEXT NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    -- NULL: until it is deleted.
    ends_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX status_announcements_by_user ON status_announcements (user_id, starts_at);
CREATE INDEX status_announcements_by_page ON status_announcements (status_page_id, starts_at);

CREATE TABLE status_badges (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL UNIQUE,
    -- Not hashed: it is shown to the user again, and gives access only to the badge.
    token TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX status_badges_by_user ON status_badges (user_id, id);

-- Deleted users: a key that the gateway accepts for a moment longer must not create objects again.
CREATE TABLE status_user_tombstones (
    user_id BIGINT PRIMARY KEY,
    deleted_at BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM now())::BIGINT
);
CREATE INDEX status_user_tombstones_by_time ON status_user_tombstones (deleted_at);
