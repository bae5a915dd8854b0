CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY NOT NULL,
    created_at INTEGER NOT NULL,
    last_accessed INTEGER NOT NULL,
    ttl INTEGER,
    worker_run TEXT,
    worker TEXT,
    generation INTEGER,
    programs TEXT NOT NULL,
    metadata TEXT NOT NULL
);
