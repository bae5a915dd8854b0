CREATE TABLE IF NOT EXISTS agents (
    run TEXT PRIMARY KEY NOT NULL,
    owner_run TEXT NOT NULL,
    owner TEXT NOT NULL,
    instance TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    info TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agents_by_state ON agents (state, run);
CREATE TABLE IF NOT EXISTS agent_sessions (
    session TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (session, run)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agent_sessions_by_run ON agent_sessions (run);
