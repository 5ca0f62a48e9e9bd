-- Schema version 3: events, of whatever source: what somebody sent, what a check said, what
-- plimsoll itself has to tell.

CREATE TABLE events (
    id        INTEGER PRIMARY KEY,
    ts        INTEGER NOT NULL, -- ms since 1970 UTC
    system_id INTEGER NOT NULL REFERENCES system_dict (id),
    kind      TEXT NOT NULL, -- event | check | …
    level     TEXT NOT NULL, -- info | warning | error | success
    title     TEXT NOT NULL,
    text      TEXT NOT NULL,
    tags      TEXT NOT NULL, -- JSON object, sorted by name
    priority  TEXT NOT NULL, -- normal | low
    source    TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (ts);

CREATE VIEW event_log (timestamp, system, kind, level, title, text, tags, priority, source) AS
    SELECT strftime('%Y-%m-%d %H:%M:%S', e.ts / 1000, 'unixepoch'),
           s.name, e.kind, e.level, e.title, e.text, e.tags, e.priority, e.source
    FROM events e JOIN system_dict s ON s.id = e.system_id;
