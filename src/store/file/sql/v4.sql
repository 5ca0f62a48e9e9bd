-- Schema version 4: what charts look like and what their fields mean, in the words of the source: a
-- Munin plugin ('munin/df'), or whoever else describes what it sends.

CREATE TABLE graph_dict (
    id        INTEGER PRIMARY KEY,
    system_id INTEGER NOT NULL REFERENCES system_dict (id),
    graph     TEXT NOT NULL,
    title     TEXT NOT NULL,
    category  TEXT NOT NULL,
    unit      TEXT NOT NULL,
    info      TEXT NOT NULL,
    args      TEXT NOT NULL, -- options for who draws, as Munin has them
    UNIQUE (system_id, graph)
);

CREATE TABLE field_dict (
    graph_id     INTEGER NOT NULL REFERENCES graph_dict (id),
    place        INTEGER NOT NULL, -- in the order of drawing, from 0
    name         TEXT NOT NULL,
    label        TEXT NOT NULL,
    key          TEXT NOT NULL, -- of its series
    kind         TEXT NOT NULL, -- gauge | counter
    query        TEXT NOT NULL, -- PromQL of what is drawn, if it is not the series or its rate
    info         TEXT NOT NULL,
    draw         TEXT NOT NULL, -- LINE1 | AREA | STACK | …
    colour       TEXT NOT NULL, -- rrggbb
    negative     TEXT NOT NULL, -- the field that is drawn below the axis
    drawn        INTEGER NOT NULL,
    warning_min  REAL,
    warning_max  REAL,
    critical_min REAL,
    critical_max REAL,
    PRIMARY KEY (graph_id, place)
) WITHOUT ROWID;

CREATE VIEW graphs (system, graph, title, category, unit, info, args) AS
    SELECT s.name, g.graph, g.title, g.category, g.unit, g.info, g.args
    FROM graph_dict g JOIN system_dict s ON s.id = g.system_id;

CREATE VIEW graph_fields (system, graph, field, label, key, kind, query, info, draw, colour,
                          negative, warning_min, warning_max, critical_min, critical_max) AS
    SELECT s.name, g.graph, f.name, f.label, f.key, f.kind, f.query, f.info, f.draw, f.colour,
           f.negative, f.warning_min, f.warning_max, f.critical_min, f.critical_max
    FROM field_dict f JOIN graph_dict g ON g.id = f.graph_id
                      JOIN system_dict s ON s.id = g.system_id;
