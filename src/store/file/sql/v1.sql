-- Schema version 1. What users may rely on are the views (docs/SCHEMA.md); the tables behind them
-- may change with a new version. Only functions of SQLite 3.40 and older: stock clients run this.

-- _id 1 is the machine that the file belongs to.
CREATE TABLE system_dict (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE series_dict (
    id        INTEGER PRIMARY KEY,
    system_id INTEGER NOT NULL REFERENCES system_dict (id),
    job       TEXT NOT NULL,
    name      TEXT NOT NULL,
    labels    TEXT NOT NULL, -- JSON object, sorted by label name
    key       TEXT NOT NULL,
    kind      TEXT NOT NULL, -- gauge | counter
    unit      TEXT NOT NULL,
    help      TEXT NOT NULL,
    UNIQUE (system_id, job, name, labels)
);
CREATE INDEX series_by_key ON series_dict (key);

-- The plain rows. ts: ms since 1970 UTC. value: a number; NaN and -0.0, which SQLite would not
-- keep, are 8 bytes, big-endian.
CREATE TABLE samples (
    ts        INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    value     REAL NOT NULL,
    PRIMARY KEY (ts, series_id)
) WITHOUT ROWID;

-- What SQL clients inserted and the daemon has not taken in yet.
CREATE TABLE inbox (
    id    INTEGER PRIMARY KEY,
    key   TEXT,
    value REAL,
    ts    INTEGER,
    CONSTRAINT "plimsoll: the key must be a text of 1 to 1000 characters"
        CHECK (typeof(key) = 'text' AND length(key) BETWEEN 1 AND 1000),
    CONSTRAINT "plimsoll: the value must be a number"
        CHECK (typeof(value) = 'real'),
    CONSTRAINT "plimsoll: the timestamp must read as YYYY-MM-DD HH:MM:SS (UTC) or be seconds since 1970"
        CHECK (typeof(ts) = 'integer' AND ts BETWEEN -62167219200000 AND 253402300799999) -- years 0 to 9999
);

CREATE VIEW systems (_id, system) AS
    SELECT id, name FROM system_dict;

CREATE VIEW series (_id, system_id, system, key, name, labels, job, kind, unit, help) AS
    SELECT d.id, d.system_id, s.name, d.key, d.name, d.labels, d.job, d.kind, d.unit, d.help
    FROM series_dict d JOIN system_dict s ON s.id = d.system_id;

CREATE VIEW metrics (key, value, timestamp) AS
    SELECT d.key,
           CASE typeof(s.value) WHEN 'blob' THEN NULL ELSE s.value END,
           strftime('%Y-%m-%d %H:%M:%S', s.ts / 1000, 'unixepoch')
    FROM samples s CROSS JOIN series_dict d ON d.id = s.series_id
    WHERE d.system_id = 1
    UNION ALL
    SELECT key, value, strftime('%Y-%m-%d %H:%M:%S', ts / 1000, 'unixepoch') FROM inbox;

CREATE VIEW metrics_by_system (system, key, value, timestamp) AS
    SELECT y.name,
           d.key,
           CASE typeof(s.value) WHEN 'blob' THEN NULL ELSE s.value END,
           strftime('%Y-%m-%d %H:%M:%S', s.ts / 1000, 'unixepoch')
    FROM samples s CROSS JOIN series_dict d ON d.id = s.series_id
                   CROSS JOIN system_dict y ON y.id = d.system_id
    UNION ALL
    SELECT (SELECT name FROM system_dict WHERE id = 1), key, value,
           strftime('%Y-%m-%d %H:%M:%S', ts / 1000, 'unixepoch')
    FROM inbox;

CREATE TRIGGER metrics_insert INSTEAD OF INSERT ON metrics BEGIN
    INSERT INTO inbox (key, value, ts) VALUES (
        NEW.key,
        NEW.value,
        CASE
            WHEN NEW.timestamp IS NULL
                THEN CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
            -- julianday() alone would take a time without a date for one in the year 2000, and a
            -- number for a Julian day.
            WHEN NEW.timestamp GLOB '[0-9][0-9][0-9][0-9]-*' AND typeof(NEW.timestamp) = 'text'
                THEN CAST(round((julianday(NEW.timestamp) - 2440587.5) * 86400000.0) AS INTEGER)
            WHEN typeof(NEW.timestamp) NOT IN ('integer', 'real')
                THEN NULL
            WHEN abs(NEW.timestamp) < 100000000000
                THEN CAST(round(NEW.timestamp * 1000.0) AS INTEGER)
            ELSE CAST(NEW.timestamp AS INTEGER)
        END
    );
END;
