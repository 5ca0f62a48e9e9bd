-- Schema version 2: sealed blocks, hourly rows, what keeps the file bounded.

-- Sealed samples, compressed (docs/format/block.md). One row holds up to 16 series (grp is
-- series_id / 16) over a stretch of time. Stretches may overlap: where two rows have a sample of
-- the same series and time, the one with the larger seq wins.
CREATE TABLE blocks (
    id         INTEGER PRIMARY KEY,
    resolution INTEGER NOT NULL, -- ms a bucket; 0: samples as they came
    grp        INTEGER NOT NULL,
    level      INTEGER NOT NULL, -- how often its samples were merged
    seq        INTEGER NOT NULL,
    start      INTEGER NOT NULL, -- first and last time in it, ms since 1970 UTC
    end        INTEGER NOT NULL,
    samples    INTEGER NOT NULL,
    longest    INTEGER NOT NULL, -- samples of its longest column
    data       BLOB NOT NULL
);
CREATE INDEX blocks_by_group ON blocks (resolution, grp, level, end);

-- Samples that came after their time had been sealed and wait to be sealed themselves.
CREATE TABLE late (
    id        INTEGER PRIMARY KEY,
    ts        INTEGER NOT NULL,
    series_id INTEGER NOT NULL
);

-- Stretches of time whose rollups have to be made again.
CREATE TABLE dirty (
    start INTEGER NOT NULL,
    grp   INTEGER NOT NULL,
    PRIMARY KEY (start, grp)
) WITHOUT ROWID;

-- sealed_until, rolled_until: ms since 1970 UTC. seq: the last one given to a block.
CREATE TABLE state (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- One row a series an hour, for as long as the configuration says. last: the newest value;
-- resets: how often a counter began again; lost: what it stood at before it did, summed, so that
-- the increase over any hours is exact: last - last of the row before + lost.
CREATE TABLE rollup_1h (
    series_id INTEGER NOT NULL,
    ts        INTEGER NOT NULL, -- the hour's beginning, ms since 1970 UTC
    count     INTEGER NOT NULL,
    sum       REAL NOT NULL,
    min       REAL NOT NULL,
    max       REAL NOT NULL,
    last      REAL NOT NULL,
    resets    INTEGER NOT NULL,
    lost      REAL NOT NULL,
    PRIMARY KEY (series_id, ts)
) WITHOUT ROWID;

CREATE VIEW history (key, timestamp, count, min, max, mean, last) AS
    SELECT d.key,
           strftime('%Y-%m-%d %H:%M:%S', h.ts / 1000, 'unixepoch'),
           h.count, h.min, h.max, h.sum / h.count, h.last
    FROM rollup_1h h JOIN series_dict d ON d.id = h.series_id
    WHERE d.system_id = 1;
