-- Schema version 5: INSERT INTO metrics refuses each key that the daemon would have to throw away.

DROP TRIGGER metrics_insert;

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
