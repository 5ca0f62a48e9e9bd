#!/usr/bin/env python3
"""Makes the two small fonts that pictures are lettered with out of Debian's fonts-inter.

    apt-get install fonts-inter; pip install fonttools; src/draw/font/subset.py

Latin, Greek, Cyrillic and a few signs; digits all of one width, so that columns stand still; no
hints and no layout tables, which the rasteriser does not read.
"""
import pathlib

from fontTools import subset
from fontTools.ttLib import TTFont

FROM = pathlib.Path("/usr/share/fonts/opentype/inter")
TO = pathlib.Path(__file__).parent
SIGNS = [*map(ord, "–—‘’“”„†•…‰′″‹›€™←↑→↓−∞≈≠≤≥·×÷°µ▲▼●■□\u00a0\u202f\ufffd")]
WIDE = [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x386, 0x3CF), *range(0x400, 0x460)]
NARROW = [*range(0x20, 0x7F), *range(0xA0, 0x100)]


def of_one_width(font):
    """What the layout feature `tnum` puts in the place of each glyph."""
    table = font["GSUB"].table
    for record in table.FeatureList.FeatureRecord:
        if record.FeatureTag == "tnum":
            for index in record.Feature.LookupListIndex:
                for part in table.LookupList.Lookup[index].SubTable:
                    yield from getattr(part, "ExtSubTable", part).mapping.items()


for name, codes in (("Regular", WIDE), ("SemiBold", NARROW)):
    font = TTFont(FROM / f"Inter-{name}.otf")
    instead = dict(of_one_width(font))
    for table in font["cmap"].tables:
        for digit in map(ord, "0123456789"):
            if digit in table.cmap:
                # Several tables may share one list.
                table.cmap[digit] = instead.get(table.cmap[digit], table.cmap[digit])
    options = subset.Options()
    options.layout_features = []
    options.hinting = False
    options.name_IDs = [0, 1, 2, 13, 14]
    options.drop_tables += ["GPOS", "GSUB", "GDEF", "STAT", "DSIG", "meta"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[*codes, *SIGNS])
    subsetter.subset(font)
    font.save(TO / f"inter-{name.lower()}.otf")
