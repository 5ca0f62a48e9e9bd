-- Schema version 6: alerts, the messages about them, silences and acknowledgements. All times are ms
-- since 1970 UTC. The views at the end are made as those of views.sql, and for the same reasons.

-- One row an episode of an alert: from when its condition began to hold until it was over. Rows whose
-- resolved_at is NULL are open; there is at most one of these a fingerprint.
CREATE TABLE alert_state (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL, -- of rule and labels: 16 hexadecimal digits
    rule        TEXT NOT NULL,
    labels      TEXT NOT NULL, -- JSON object, sorted by name
    state       TEXT NOT NULL, -- pending | firing | recovering | nodata | flapping | resolved
    frozen      TEXT NOT NULL, -- the state before samples stopped to come, or nothing
    severity    TEXT NOT NULL, -- info | warning | bad
    active_at   INTEGER NOT NULL,
    held_ms     INTEGER NOT NULL,
    fired_at    INTEGER,
    clear_since INTEGER,
    resolved_at INTEGER,
    seen_at     INTEGER NOT NULL,
    value       REAL, -- NULL: not a number
    peak        REAL,
    threshold   REAL,
    flaps       TEXT NOT NULL, -- JSON array of times
    text        TEXT NOT NULL, -- the sentence, as it is told
    more        TEXT NOT NULL  -- JSON object: who was told what, the processes that matter
);
CREATE UNIQUE INDEX alert_open ON alert_state (fingerprint) WHERE resolved_at IS NULL;

-- What is still to be told, one row a change and channel. Numbers are never used again.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY,
    channel  TEXT NOT NULL, -- a name that stays the same over restarts
    shown    TEXT NOT NULL, -- the target without its secrets
    made_at  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    severity TEXT NOT NULL,
    occasion TEXT NOT NULL, -- fire | over | reminder | …
    host     TEXT NOT NULL,
    title    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    said     TEXT NOT NULL, -- the error of the last attempt
    body     TEXT NOT NULL  -- JSON object
);

-- What was told, or cannot be any more: one row a message.
CREATE TABLE told (
    id       INTEGER PRIMARY KEY,
    channel  TEXT NOT NULL,
    shown    TEXT NOT NULL,
    made_at  INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- when this was certain
    severity TEXT NOT NULL,
    occasion TEXT NOT NULL,
    host     TEXT NOT NULL,
    key      TEXT NOT NULL, -- by which a receiver knows a second copy
    title    TEXT NOT NULL,
    text     TEXT NOT NULL, -- the lines behind the title
    result   TEXT NOT NULL, -- sent | refused | expired | dropped
    said     TEXT NOT NULL, -- the receiver's words
    attempts INTEGER NOT NULL
);

CREATE TABLE silences (
    id        INTEGER PRIMARY KEY,
    what      TEXT NOT NULL, -- the matcher, as it was written
    every     TEXT NOT NULL, -- 'Sun 02:00-04:00 Europe/Berlin', or nothing
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER, -- NULL: until somebody ends it
    who       TEXT NOT NULL,
    why       TEXT NOT NULL
);

-- Somebody knows of it: no more reminders of this episode.
CREATE TABLE acks (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    fired_at    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    who         TEXT NOT NULL,
    why         TEXT NOT NULL
);

CREATE VIEW stored_alerts (rule, state, severity, text, since, fired, resolved, value, peak, threshold,
                           labels, fingerprint) AS
    SELECT a.rule AS rule, a.state AS state, a.severity AS severity, a.text AS text,
           CAST(strftime('%Y-%m-%d %H:%M:%S', a.active_at / 1000, 'unixepoch') AS TEXT) AS since,
           CAST(strftime('%Y-%m-%d %H:%M:%S', a.fired_at / 1000, 'unixepoch') AS TEXT) AS fired,
           CAST(strftime('%Y-%m-%d %H:%M:%S', a.resolved_at / 1000, 'unixepoch') AS TEXT) AS resolved,
           a.value AS value, a.peak AS peak, a.threshold AS threshold, a.labels AS labels,
           a.fingerprint AS fingerprint
    FROM alert_state a;

CREATE VIEW alerts (rule, state, severity, text, since, fired, resolved, value, peak, threshold,
                    labels, fingerprint) AS
    SELECT key AS rule, key AS state, key AS severity, key AS text, key AS since, key AS fired,
           key AS resolved, value AS value, value AS peak, value AS threshold, key AS labels,
           key AS fingerprint
    FROM inbox WHERE 0
    UNION ALL
    SELECT rule AS rule, state AS state, severity AS severity, text AS text, since AS since,
           fired AS fired, resolved AS resolved, CAST(value AS DOUBLE) AS value,
           CAST(peak AS DOUBLE) AS peak, CAST(threshold AS DOUBLE) AS threshold, labels AS labels,
           fingerprint AS fingerprint
    FROM stored_alerts
    UNION ALL
    SELECT key, key, key, key, key, key, key, value, value, value, key, key FROM inbox WHERE 0;

CREATE VIEW told_messages (timestamp, channel, host, severity, occasion, title, text, result, said,
                           attempts, done) AS
    SELECT CAST(strftime('%Y-%m-%d %H:%M:%S', t.made_at / 1000, 'unixepoch') AS TEXT) AS timestamp,
           t.shown AS channel, t.host AS host, t.severity AS severity, t.occasion AS occasion,
           t.title AS title, t.text AS text, t.result AS result, t.said AS said,
           t.attempts AS attempts,
           CAST(strftime('%Y-%m-%d %H:%M:%S', t.at / 1000, 'unixepoch') AS TEXT) AS done
    FROM told t;

CREATE VIEW waiting_messages (timestamp, channel, host, severity, occasion, title, said, attempts) AS
    SELECT CAST(strftime('%Y-%m-%d %H:%M:%S', o.made_at / 1000, 'unixepoch') AS TEXT) AS timestamp,
           o.shown AS channel, o.host AS host, o.severity AS severity, o.occasion AS occasion,
           o.title AS title, o.said AS said, o.attempts AS attempts
    FROM outbox o;

CREATE VIEW notifications (timestamp, channel, host, severity, occasion, title, text, result, said,
                           attempts, done) AS
    SELECT key AS timestamp, key AS channel, key AS host, key AS severity, key AS occasion,
           key AS title, key AS text, key AS result, key AS said, id AS attempts, key AS done
    FROM inbox WHERE 0
    UNION ALL
    SELECT timestamp AS timestamp, channel AS channel, host AS host, severity AS severity,
           occasion AS occasion, title AS title, text AS text, result AS result, said AS said,
           CAST(attempts AS BIGINT) AS attempts, done AS done
    FROM told_messages
    UNION ALL
    SELECT timestamp AS timestamp, channel AS channel, host AS host, severity AS severity,
           occasion AS occasion, title AS title, '' AS text, 'waiting' AS result, said AS said,
           CAST(attempts AS BIGINT) AS attempts, NULL AS done
    FROM waiting_messages
    UNION ALL
    SELECT key, key, key, key, key, key, key, key, key, id, key FROM inbox WHERE 0;
