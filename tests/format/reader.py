#!/usr/bin/env python3
"""Reads the sealed samples of a plimsoll database: docs/format/block.md, executable; chunk.md is in
columns.py beside this file.

It follows those documents and not plimsoll's source, which must stay so: where it disagrees with
plimsoll, one of the three is wrong. It needs Python 3.11 and its standard library, opens
the file read-only, and is made to be read, not for speed.

    reader.py samples DATABASE   every sample, sealed or plain: key,ts_ms,value
    reader.py rollups DATABASE   every five minutes: key,ts_ms,count,sum,min,max,last,resets,lost
    reader.py columns            from standard input, a column a line: `values COUNT HEX` or
                                 `timestamps COUNT HEX`; prints what is in it, a line each

Values are the 64 bits of the double in hexadecimal, so that a NaN or -0.0 is seen as it is. A key may
contain commas: split a line from the right. What is damaged is named on standard error, and the exit
status is then 1.
"""

import sqlite3
import struct
import sys
import zlib
from pathlib import Path

from columns import MID, Bytes, Damaged, bits_of, need, timestamps, values

PARTS = ("count", "sum", "min", "max", "last", "resets", "lost")


def read_block(data, damaged):
    """The columns of a block: (series % 16, part, timestamps, values).

    `damaged(place, part, why)` hears of each column that is lost; a Damaged says that the block is.
    """
    source = Bytes(data)
    need(source.byte() == 1, "an unknown version of blocks")
    stamp_count, body_count, column_count = (source.varint(32) for _ in range(3))
    stamp_sizes = [(source.varint(32), source.varint(32)) for _ in range(stamp_count)]
    body_sizes = [source.varint(32) for _ in range(body_count)]
    entries = []
    for _ in range(column_count):
        place, part = source.byte(), source.byte()
        stamps, head, body = source.varint(32), source.varint(32), source.varint(32)
        entries.append((place, part, stamps, head, body, source.take(4)))
    directory = data[: source.at]
    need(source.take(4) == checksum(directory), "the directory's checksum does not fit")

    # The pieces of a block that ends early are short, and their checksums do not fit.
    at = source.at
    pieces = []
    sizes = [size for _, size in stamp_sizes] + [entry[3] for entry in entries] + body_sizes
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    heads = pieces[stamp_count : stamp_count + column_count]
    bodies = pieces[stamp_count + column_count :]

    decoded = {}
    columns = []
    for (place, part, stamps, _, body, expected), head in zip(entries, heads):
        try:
            need(stamps < stamp_count and body < body_count, "a piece that is not there")
            need(
                checksum(pieces[stamps] + head + bodies[body]) == expected,
                "the checksum does not fit",
            )
            count = stamp_sizes[stamps][0]
            need(1 <= count <= 65536, "no number of samples a column can have")
            if stamps not in decoded:
                decoded[stamps] = timestamps(pieces[stamps], count)
            columns.append((place, part, decoded[stamps], values(head + bodies[body], count)))
        except Damaged as why:
            damaged(place, part, why)
    return columns


def checksum(data):
    return struct.pack("<I", zlib.crc32(data))


class Database:
    """A plimsoll database, read while it may be written."""

    def __init__(self, path):
        self.db = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
        self.db.execute("BEGIN")  # one snapshot for everything that follows
        self.keys = dict(self.db.execute("SELECT id, key FROM series_dict"))
        self.damaged = 0

    def key(self, series):
        return self.keys.get(series, f"series {series}, which has no name")

    def complain(self, what):
        self.damaged += 1
        print(f"damaged: {what}", file=sys.stderr)

    def sealed(self, resolution):
        """A group at a time: {(series, part): {ts: bits}}, newer blocks over older ones."""
        groups = self.db.execute(
            "SELECT DISTINCT grp FROM blocks WHERE resolution = ? ORDER BY grp", (resolution,)
        ).fetchall()
        for (group,) in groups:
            found = {}
            blocks = self.db.execute(
                "SELECT id, data FROM blocks WHERE resolution = ? AND grp = ? ORDER BY seq",
                (resolution, group),
            )
            for block, data in blocks:
                self.one_block(found, block, group, bytes(data))
            yield group, found

    def one_block(self, found, block, group, data):
        def lost(place, part, why):
            key = self.key(group * 16 + place)
            self.complain(f"block {block}, {key}, part {part}: {why}")

        try:
            columns = read_block(data, lost)
        except Damaged as why:
            self.complain(f"block {block}: {why}")
            return
        for place, part, stamps, bits in columns:
            found.setdefault((group * 16 + place, part), {}).update(zip(stamps, bits))

    def samples(self):
        """(key, ts, bits) of every sample, series by series."""
        oldest = self.plain("ts <= ?", self.state("pruned_until"))
        newest = self.plain("ts > ?", self.state("sealed_until"))
        late = "(ts, series_id) IN (SELECT ts, series_id FROM late) AND ts <= ?"
        for series, rows in self.plain(late, self.state("sealed_until")).items():
            newest.setdefault(series, {}).update(rows)
        for group, found in self.sealed(0):
            for series in range(group * 16, group * 16 + 16):
                yield from self.layers(series, oldest, {series: found.get((series, 0), {})}, newest)
        for series in sorted(oldest.keys() | newest.keys()):
            yield from self.layers(series, oldest, newest)

    def layers(self, series, *layers):
        """The samples of one series, each layer over those before it, and taken from them."""
        samples = {}
        for layer in layers:
            samples.update(layer.pop(series, {}))
        return ((self.key(series), ts, samples[ts]) for ts in sorted(samples))

    def state(self, name):
        found = self.db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return found[0] if found else -MID

    def plain(self, where, until):
        """Some of the plain rows: {series: {ts: bits}}."""
        found = {}
        query = f"SELECT series_id, ts, value FROM samples WHERE {where}"
        for series, ts, value in self.db.execute(query, (until,)):
            bits = int.from_bytes(value, "big") if isinstance(value, bytes) else bits_of(value)
            found.setdefault(series, {})[ts] = bits
        return found

    def rollups(self):
        """(key, ts, [bits of each part]) of every five minutes of every series."""
        for group, found in self.sealed(300_000):
            for series in range(group * 16, group * 16 + 16):
                parts = [found.get((series, part), {}) for part in range(len(PARTS))]
                whole_ones = set(parts[0]).intersection(*parts[1:])
                for ts in sorted(whole_ones):
                    yield self.key(series), ts, [part[ts] for part in parts]


def print_columns(lines, out):
    """How many were damaged."""
    damaged = 0
    for line in lines:
        kind, count, text = line.split()
        try:
            if kind == "values":
                numbers = [f"{bits:016x}" for bits in values(bytes.fromhex(text), int(count))]
            else:
                numbers = [str(ts) for ts in timestamps(bytes.fromhex(text), int(count))]
        except Damaged as why:
            damaged += 1
            numbers = [f"damaged: {why}"]
        out.write(" ".join(numbers) + "\n")
    return damaged


def main(arguments):
    out = sys.stdout
    if arguments == ["columns"]:
        return 1 if print_columns(sys.stdin, out) else 0
    if len(arguments) != 2 or arguments[0] not in ("samples", "rollups"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    database = Database(arguments[1])
    if arguments[0] == "samples":
        for key, ts, bits in database.samples():
            out.write(f"{key},{ts},{bits:016x}\n")
    else:
        for key, ts, parts in database.rollups():
            out.write(f"{key},{ts},{','.join(f'{bits:016x}' for bits in parts)}\n")
    return 1 if database.damaged else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except sqlite3.Error as e:
        sys.exit(f"{sys.argv[2]}: {e}")
    except BrokenPipeError:
        sys.exit(1)
