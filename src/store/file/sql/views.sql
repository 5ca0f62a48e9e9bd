-- The views and triggers of the newest schema version. The step of schema.rs that uses this file drops
-- all of them first, so a change here needs a new version and no more than that.
--
-- Only functions of SQLite 3.40 and older: stock clients run this.
--
-- A value of 8 bytes is -0.0 or NaN (see `samples`): the views show -0.0 as the number and NaN as NULL.
--
-- DuckDB reads a view by parsing its text. It does not know ON behind CROSS JOIN, and it cannot hand
-- a UNION with functions in it back to SQLite. So the functions are in views of one SELECT each, and
-- the unions name these. CROSS JOIN keeps SQLite to the order of the tables: rows come by time.
-- SQLite takes the types of a union's columns from its first SELECT, before 3.41 from its last one,
-- and a function has none. So both name columns of a table, and never have a row.

CREATE VIEW systems (_id, system) AS
    SELECT id AS _id, name AS system FROM system_dict;

CREATE VIEW series (_id, system_id, system, key, name, labels, job, kind, unit, help) AS
    SELECT d.id AS _id, d.system_id AS system_id, s.name AS system, d.key AS key, d.name AS name,
           d.labels AS labels, d.job AS job, d.kind AS kind, d.unit AS unit, d.help AS help
    FROM series_dict d JOIN system_dict s ON s.id = d.system_id;

-- The two halves of `metrics`: what was taken in, and what waits in the inbox.
CREATE VIEW stored_metrics (system_id, key, value, timestamp) AS
    SELECT d.system_id AS system_id,
           d.key AS key,
           CASE typeof(s.value)
               WHEN 'blob' THEN CASE hex(s.value) WHEN '8000000000000000' THEN -0.0 END
               ELSE s.value
           END AS value,
           CAST(strftime('%Y-%m-%d %H:%M:%S', s.ts / 1000, 'unixepoch') AS TEXT) AS timestamp
    FROM samples s CROSS JOIN series_dict d
    WHERE d.id = s.series_id;

CREATE VIEW waiting_metrics (key, value, timestamp) AS
    SELECT key AS key,
           value AS value,
           CAST(strftime('%Y-%m-%d %H:%M:%S', ts / 1000, 'unixepoch') AS TEXT) AS timestamp
    FROM inbox;

CREATE VIEW metrics (key, value, timestamp) AS
    SELECT key AS key, value AS value, key AS timestamp FROM inbox WHERE 0
    UNION ALL
    SELECT key AS key, CAST(value AS DOUBLE) AS value, timestamp AS timestamp
    FROM stored_metrics WHERE system_id = 1
    UNION ALL
    SELECT key AS key, CAST(value AS DOUBLE) AS value, timestamp AS timestamp FROM waiting_metrics
    UNION ALL
    SELECT key, value, key FROM inbox WHERE 0;

CREATE VIEW metrics_by_system (system, key, value, timestamp) AS
    SELECT key AS system, key AS key, value AS value, key AS timestamp FROM inbox WHERE 0
    UNION ALL
    SELECT y.name AS system, m.key AS key, CAST(m.value AS DOUBLE) AS value, m.timestamp AS timestamp
    FROM stored_metrics m CROSS JOIN system_dict y
    WHERE y.id = m.system_id
    UNION ALL
    SELECT y.name AS system, m.key AS key, CAST(m.value AS DOUBLE) AS value, m.timestamp AS timestamp
    FROM waiting_metrics m CROSS JOIN system_dict y
    WHERE y.id = 1
    UNION ALL
    SELECT key, key, value, key FROM inbox WHERE 0;

CREATE VIEW stored_hours (key, timestamp, count, min, max, mean, last) AS
    SELECT d.key AS key,
           CAST(strftime('%Y-%m-%d %H:%M:%S', h.ts / 1000, 'unixepoch') AS TEXT) AS timestamp,
           h.count AS count,
           CASE typeof(h.min)
               WHEN 'blob' THEN CASE hex(h.min) WHEN '8000000000000000' THEN -0.0 END
               ELSE h.min
           END AS min,
           CASE typeof(h.max)
               WHEN 'blob' THEN CASE hex(h.max) WHEN '8000000000000000' THEN -0.0 END
               ELSE h.max
           END AS max,
           CASE typeof(h.sum)
               WHEN 'blob' THEN CASE hex(h.sum) WHEN '8000000000000000' THEN -0.0 END
               ELSE h.sum / h.count
           END AS mean,
           CASE typeof(h.last)
               WHEN 'blob' THEN CASE hex(h.last) WHEN '8000000000000000' THEN -0.0 END
               ELSE h.last
           END AS last
    FROM rollup_1h h JOIN series_dict d ON d.id = h.series_id
    WHERE d.system_id = 1;

CREATE VIEW history (key, timestamp, count, min, max, mean, last) AS
    SELECT key AS key, key AS timestamp, id AS count, value AS min, value AS max,
           value AS mean, value AS last
    FROM inbox WHERE 0
    UNION ALL
    SELECT key AS key, timestamp AS timestamp, CAST(count AS BIGINT) AS count,
           CAST(min AS DOUBLE) AS min, CAST(max AS DOUBLE) AS max, CAST(mean AS DOUBLE) AS mean,
           CAST(last AS DOUBLE) AS last
    FROM stored_hours
    UNION ALL
    SELECT key, key, id, value, value, value, value FROM inbox WHERE 0;

CREATE VIEW stored_events (timestamp, system, kind, level, title, text, tags, priority, source) AS
    SELECT CAST(strftime('%Y-%m-%d %H:%M:%S', e.ts / 1000, 'unixepoch') AS TEXT) AS timestamp,
           s.name AS system, e.kind AS kind, e.level AS level, e.title AS title, e.text AS text,
           e.tags AS tags, e.priority AS priority, e.source AS source
    FROM events e JOIN system_dict s ON s.id = e.system_id;

CREATE VIEW event_log (timestamp, system, kind, level, title, text, tags, priority, source) AS
    SELECT key AS timestamp, key AS system, key AS kind, key AS level, key AS title,
           key AS text, key AS tags, key AS priority, key AS source
    FROM inbox WHERE 0
    UNION ALL
    SELECT timestamp AS timestamp, system AS system, kind AS kind, level AS level, title AS title,
           text AS text, tags AS tags, priority AS priority, source AS source
    FROM stored_events
    UNION ALL
    SELECT key, key, key, key, key, key, key, key, key FROM inbox WHERE 0;

CREATE VIEW graphs (system, graph, title, category, unit, info, args) AS
    SELECT s.name AS system, g.graph AS graph, g.title AS title, g.category AS category,
           g.unit AS unit, g.info AS info, g.args AS args
    FROM graph_dict g JOIN system_dict s ON s.id = g.system_id;

CREATE VIEW graph_fields (system, graph, field, label, key, kind, query, info, draw, colour,
                          negative, warning_min, warning_max, critical_min, critical_max) AS
    SELECT s.name AS system, g.graph AS graph, f.name AS field, f.label AS label, f.key AS key,
           f.kind AS kind, f.query AS query, f.info AS info, f.draw AS draw, f.colour AS colour,
           f.negative AS negative, f.warning_min AS warning_min, f.warning_max AS warning_max,
           f.critical_min AS critical_min, f.critical_max AS critical_max
    FROM field_dict f JOIN graph_dict g ON g.id = f.graph_id
                      JOIN system_dict s ON s.id = g.system_id;

CREATE TRIGGER metrics_insert INSTEAD OF INSERT ON metrics BEGIN
    -- length() of a text ends at a NUL, so bytes are counted. What is not a text, or empty, is left
    -- to the constraints of the table.
    SELECT RAISE(ABORT, 'plimsoll: the key must be a text of 1 to 1000 characters')
    WHERE typeof(NEW.key) = 'text' AND length(CAST(NEW.key AS BLOB)) > 4000;
    -- Printable ASCII is all right, which is nearly every key. Anything else is looked at character by
    -- character: decoding and encoding one that is not UTF-8 makes other bytes of it.
    SELECT RAISE(ABORT, 'plimsoll: the key must be UTF-8 without control characters')
    WHERE typeof(NEW.key) = 'text'
      AND (instr(CAST(NEW.key AS BLOB), x'00') > 0 OR NEW.key GLOB '*[^ -~]*')
      AND (instr(CAST(NEW.key AS BLOB), x'00') > 0 OR EXISTS (
          WITH RECURSIVE place (i) AS (
              SELECT 1 UNION ALL SELECT i + 1 FROM place WHERE i < length(NEW.key)
          )
          SELECT 1 FROM place
          WHERE unicode(substr(NEW.key, i, 1)) < 32
             OR unicode(substr(NEW.key, i, 1)) BETWEEN 127 AND 159
             OR CAST(char(unicode(substr(NEW.key, i, 1))) AS BLOB)
                <> CAST(substr(NEW.key, i, 1) AS BLOB)));
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
