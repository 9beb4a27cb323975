"""The SQLite file's schema, version by version. A step, once released, stays as it is; a new version appends one."""

from __future__ import annotations

STEPS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE cameras (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given again, or an old answer would show somebody else
        camera INTEGER NOT NULL REFERENCES cameras (code),
        time REAL,
        track TEXT,
        pid INTEGER,
        name TEXT NOT NULL,
        attributes TEXT NOT NULL,
        embedding BLOB NOT NULL,
        checksum BLOB NOT NULL
    );
    CREATE INDEX entries_by_track ON entries (track) WHERE track IS NOT NULL;
    CREATE INDEX entries_by_pid ON entries (pid) WHERE pid IS NOT NULL;
    CREATE INDEX entries_by_camera ON entries (camera, time);
    CREATE TABLE crops (entry INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE, data BLOB NOT NULL);
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, time TEXT NOT NULL, action TEXT NOT NULL, who TEXT NOT NULL,
        purpose TEXT NOT NULL, detail TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL
    );
    INSERT INTO meta VALUES ('removals', '0');
    """,
    """
    CREATE TABLE links (
        number INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL UNIQUE, into_pid INTEGER NOT NULL
    );
    """,
    """
    CREATE INDEX IF NOT EXISTS entries_by_content ON entries (substr(embedding, 1, 16), camera, time);
    """,
)
READABLE = 2  # the oldest version that can be read as it is
VERSION = len(STEPS)
APPLICATION_ID = 0x72736774  # "rsgt": what tells a gallery from any other SQLite file
