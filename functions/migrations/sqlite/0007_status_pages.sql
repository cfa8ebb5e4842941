CREATE TABLE status_pages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- A JSON array of {name, endpoint_ids}.
    groups TEXT NOT NULL,
    published BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX status_pages_by_user ON status_pages (user_id, id);

CREATE TABLE status_announcements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    status_page_id INTEGER NOT NULL REFERENCES status_pages (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    severity TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    -- NULL: until it is taken back.
    ends_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX status_announcements_by_user ON status_announcements (user_id, starts_at);
CREATE INDEX status_announcements_by_page ON status_announcements (status_page_id, starts_at);

CREATE TABLE status_badges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL UNIQUE,
    -- As it is: the user is shown it again, and it opens nothing but the badge.
    token TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
);
CREATE INDEX status_badges_by_user ON status_badges (user_id, id);

-- A key that the gateway still believes for a moment must bring nothing back.
CREATE TABLE status_gone_users (user_id INTEGER PRIMARY KEY);
