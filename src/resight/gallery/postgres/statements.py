"""The schema of a gallery in PostgreSQL, and the longer statements."""

from __future__ import annotations

CREATING = 0x72736774  # an advisory lock's key, held while a gallery is created
ALONE = "LOCK TABLE entries IN SHARE ROW EXCLUSIVE MODE"  # whoever adds or deletes waits, so that no row is missed
SCHEMA = """
    CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE entries (
        id bigserial PRIMARY KEY, camera text NOT NULL, time float8, track text, pid bigint, name text NOT NULL,
        attributes text NOT NULL, embedding vector({dim}) NOT NULL, checksum bytea NOT NULL
    );
    CREATE INDEX ON entries (track) WHERE track IS NOT NULL;
    CREATE INDEX ON entries (pid) WHERE pid IS NOT NULL;
    CREATE INDEX ON entries (camera, time);
    ALTER TABLE entries ALTER COLUMN embedding SET STORAGE PLAIN;
    CREATE TABLE crops (entry bigint PRIMARY KEY REFERENCES entries ON DELETE CASCADE, data bytea NOT NULL);
    CREATE TABLE audit (
        number bigint PRIMARY KEY, time text NOT NULL, action text NOT NULL, who text NOT NULL, purpose text NOT NULL,
        detail text NOT NULL, before text NOT NULL, hash text NOT NULL
    );
    CREATE TABLE links (number bigserial PRIMARY KEY, pid bigint NOT NULL UNIQUE, into_pid bigint NOT NULL)
"""
FIELDS = "e.id, e.camera, e.time, e.track, e.pid, e.name, e.attributes, e.embedding::text, e.checksum"
WITH_CROPS = f"SELECT {FIELDS}, c.data FROM entries e LEFT JOIN crops c ON c.entry = e.id"
PEOPLE = """
    SELECT count(*) FROM (
        SELECT coalesce(r.root, e.pid), CASE WHEN e.pid IS NULL THEN e.camera END,
               CASE WHEN e.pid IS NULL THEN e.track END, CASE WHEN e.pid IS NULL AND e.track IS NULL THEN e.id END
        FROM entries e LEFT JOIN json_to_recordset(:roots) AS r (pid bigint, root bigint) ON r.pid = e.pid
        WHERE {condition} GROUP BY 1, 2, 3, 4
    ) AS people
"""
ADD = """
    INSERT INTO entries (id, camera, time, track, pid, name, attributes, embedding, checksum)
    SELECT id, camera, time, track, pid, name, attributes, embedding::vector, decode(checksum, 'hex')
    FROM json_to_recordset(:rows) AS r (
        id bigint, camera text, time float8, track text, pid bigint, name text, attributes text, embedding text,
        checksum text
    )
"""
CONTENT = "entries_by_content"
INDEX = f"CREATE INDEX {CONTENT} ON entries (md5(embedding::text))"  # a gallery of 0.1.0 has none
EQUAL = """
    SELECT id FROM entries WHERE md5(embedding::text) = md5(cast(:vector AS vector)::text) AND camera = :camera
    AND name = :name AND time IS NOT DISTINCT FROM cast(:time AS float8)
    AND track IS NOT DISTINCT FROM cast(:track AS text) LIMIT 1
"""
BEYOND = (
    "PostgreSQL keeps deleted bytes in freed pages until it overwrites them; `resight gallery compact` does",
    "its write-ahead log holds what was added until the segment is recycled, and so do replicas and backups",
)
