CREATE TABLE IF NOT EXISTS processes (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    pool TEXT NOT NULL,
    state TEXT NOT NULL,
    pid INTEGER,
    identity TEXT,
    process_group INTEGER,
    cgroup TEXT,
    command TEXT,
    fingerprint TEXT NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    activated_at INTEGER,
    terminating_at INTEGER,
    gone_at INTEGER,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS processes_by_worker ON processes (worker);
CREATE INDEX IF NOT EXISTS processes_by_pid ON processes (pid);
CREATE INDEX IF NOT EXISTS processes_by_fingerprint ON processes (fingerprint);
