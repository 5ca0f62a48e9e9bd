//! wire: RRD files of rrdtool: the binary form of 64 and 32 bits and of either order of bytes, and the
//! XML that `rrdtool dump` makes of any. Bytes in, values out; no I/O.
//!
//! Source: rrdtool 1.7.2, `src/rrd_format.h` (the structures, in this order: `stat_head`, `ds_def`,
//! `rra_def`, `live_head`, `pdp_prep`, `cdp_prep`, `rra_ptr`, then the rows), `src/rrd_open.c` (its
//! checks) and `src/rrd_dump.c` (the times of rows). The file is a dump of memory, so its layout is
//! that of the machine that wrote it (`layout`).

mod dump;
mod eras;
mod layout;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use eras::eras;
use layout::Layout;

const DS: usize = 120;
const PDP: usize = 112;
const CDP: usize = 80;
/// `DS_NAM_SIZE`, `DST_SIZE`, `CF_NAM_SIZE`
const WORD: usize = 20;
/// `LAST_DS_LEN`
const LAST_DS: usize = 30;
/// The largest number of sources and of archives. Real files have far fewer.
const MOST: u64 = 10_000;
/// Latest time that is taken for one: the year 9999.
const LATEST: i64 = 253_402_300_799;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum RrdError {
    /// The file does not begin like an RRD file.
    #[error("this is no RRD file")]
    NotRrd,
    /// The file has the layout of another version, or of an unknown kind of machine: `rrdtool dump`
    /// can read it, at least on the machine that wrote it.
    #[error(
        "written by another version of rrdtool, or on a kind of machine that is not known; what \
         'rrdtool dump FILE > FILE.xml' makes of it there can be imported"
    )]
    Foreign,
    /// The file is too short.
    #[error("it is cut off: {found} bytes of {expected}")]
    Short {
        /// The length of the file in bytes.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// A field of the file has an impossible value.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// How a data source computes its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceType {
    /// Values are kept as they are.
    Gauge,
    /// The increase a second of a counter that wraps at 2^32 or 2^64.
    Counter,
    /// Change a second.
    Derive,
    /// Value by time.
    Absolute,
    /// Computed from others (COMPUTE), or a type of later versions: kept as it is.
    Other,
}

/// A data source: a column of every archive.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// Its name.
    pub name: String,
    /// How its values are computed.
    pub kind: SourceType,
    /// Values below are unknown.
    pub min: Option<f64>,
    /// Values above are unknown.
    pub max: Option<f64>,
    /// The last value that it was given, before any computation.
    pub last: Option<f64>,
}

/// How rows are made of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consolidation {
    /// The mean.
    Average,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The newest.
    Last,
    /// Functions for forecasts, which are not measured values.
    Other,
}

/// An archive: rows of one length, of which the oldest go.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// How its rows are made.
    pub how: Consolidation,
    /// The number of rows.
    pub rows: usize,
    /// The length of a row in seconds.
    pub span: i64,
    /// The end of the newest row, seconds since 1970 UTC.
    pub newest: i64,
    /// Which row that is.
    current: usize,
    /// The place of its rows in the file.
    at: usize,
}

/// An RRD file.
#[derive(Debug, Clone)]
pub struct Rrd<'a> {
    /// Seconds between two values.
    pub step: i64,
    /// When it was last given a value, seconds since 1970 UTC.
    pub updated: i64,
    /// Its columns.
    pub sources: Vec<DataSource>,
    /// The archives.
    pub archives: Vec<Archive>,
    data: Cow<'a, [u8]>,
    layout: Layout,
}

impl<'a> Rrd<'a> {
    /// Reads the binary form of any kind of machine. The rows stay where they are; nothing is made
    /// room for that is not there.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RrdError> {
        if bytes.get(..4) != Some(b"RRD\0") {
            return Err(RrdError::NotRrd);
        }
        // Version 0003 keeps microseconds of the last update, 0004 only adds a type of source (0005
        // one more); older versions have another layout.
        let version = bytes.get(4..9).unwrap_or_default();
        if ![b"0003\0", b"0004\0", b"0005\0"].iter().any(|v| *v == version) {
            return Err(RrdError::Foreign);
        }
        let mut told = RrdError::Foreign;
        for layout in layout::fitting(bytes)? {
            match Self::read_as(bytes, layout) {
                Ok(rrd) => return Ok(rrd),
                // The first error that says more than that the file is from another machine.
                Err(e) if told == RrdError::Foreign => told = e,
                Err(_) => {}
            }
        }
        Err(told)
    }

    fn read_as(bytes: &'a [u8], layout: Layout) -> Result<Self, RrdError> {
        let at = Cursor { bytes, layout };
        let counts = layout.counts();
        let long = layout.long;
        let (sources, archives) = (at.count(counts)?, at.count(counts + long)?);
        let step = at.whole(counts + 2 * long, long)?;
        // Half of a long number read as a whole one has no archives.
        let few = if long == 8 { 0 } else { 1 };
        if sources > MOST || archives > MOST || archives < few {
            return Err(RrdError::Foreign);
        }
        if !(1..=LATEST).contains(&step) || sources == 0 {
            return Err(RrdError::Damaged("no data source, or no step"));
        }
        let (sources, archives) = (sources as usize, archives as usize);
        let (head, rra) = (layout.head(), layout.archive());
        let live = head + sources * DS + archives * rra;
        let pdp = live + layout.live();
        let pointers = pdp + sources * PDP + sources * archives * CDP;
        let rows_at = pointers + archives * long;
        at.has(rows_at)?;
        let updated = at.whole(live, layout.time)?;
        if !(0..=LATEST).contains(&updated) {
            return Err(RrdError::Damaged("the time of its last update"));
        }
        let mut rrd = Self {
            step,
            updated,
            sources: Vec::new(),
            archives: Vec::new(),
            data: bytes.into(),
            layout,
        };
        for i in 0..sources {
            let def = head + i * DS;
            let number = |n: f64| (!n.is_nan()).then_some(n);
            let (min, max) = (def + 2 * WORD + 8, def + 2 * WORD + 16);
            let last = at.word(pdp + i * PDP, LAST_DS)?;
            // The text is at least `U`. At a wrong place there is a zero, or no letter.
            if long != 8 && (last.is_empty() || !last.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(RrdError::Damaged("what its sources were last given"));
            }
            rrd.sources.push(DataSource {
                name: at.word(def, WORD)?.to_owned(),
                kind: SourceType::from_word(at.word(def + WORD, WORD)?),
                min: number(at.float(min)?),
                max: number(at.float(max)?),
                last: last.parse().ok().filter(|v: &f64| v.is_finite()),
            });
        }
        let mut next = rows_at;
        for i in 0..archives {
            let def = head + sources * DS + i * rra;
            let counts = def + layout.rows();
            let (rows, steps) = (at.count(counts)?, at.count(counts + long)?);
            let current = at.count(pointers + i * long)?;
            let span = i64::try_from(steps).ok().and_then(|s| s.checked_mul(step));
            let span = span.filter(|s| (1..=LATEST).contains(s));
            let span = span.ok_or(RrdError::Damaged("the length of a row"))?;
            let bytes = usize::try_from(rows).ok().and_then(|r| r.checked_mul(sources * 8));
            let end = bytes.and_then(|b| next.checked_add(b));
            let end = end.ok_or(RrdError::Damaged("the number of rows"))?;
            at.has(end)?;
            if current >= rows {
                return Err(RrdError::Damaged("the place of the newest row"));
            }
            rrd.archives.push(Archive {
                how: Consolidation::from_word(at.word(def, WORD)?),
                rows: rows as usize,
                span,
                newest: updated - updated % span,
                current: current as usize,
                at: next,
            });
            next = end;
        }
        // Two layouts of 32 bits differ in a length only: it has to be the file's.
        if long != 8 && next != bytes.len() {
            return Err(RrdError::Damaged("its length is not what its head says"));
        }
        Ok(rrd)
    }

    /// The kind of machine that wrote the file, if it differs from this one.
    pub fn machine(&self) -> Option<&'static str> {
        self.layout.machine()
    }

    /// Reads the output of `rrdtool dump`.
    pub fn read_dump(text: &str) -> Result<Rrd<'static>, RrdError> {
        dump::read(text)
    }

    /// The number of values, unknown ones included.
    pub fn points(&self) -> u64 {
        self.archives.iter().map(|a| (a.rows * self.sources.len()) as u64).sum()
    }

    /// The values of one source in an archive, the oldest first; NaN is unknown.
    pub fn values(&self, archive: &Archive, source: usize) -> impl Iterator<Item = f64> {
        let width = self.sources.len() * 8;
        let end = archive.at + archive.rows * width;
        let rows = self.data.get(archive.at..end).unwrap_or_default();
        let (new, old) = rows.split_at(((archive.current + 1) * width).min(rows.len()));
        old.chunks_exact(width).chain(new.chunks_exact(width)).map(move |row| {
            match row.get(source * 8..source * 8 + 8).and_then(|b| b.try_into().ok()) {
                Some(bytes) => self.layout.float(bytes),
                None => f64::NAN,
            }
        })
    }
}

impl SourceType {
    fn from_word(word: &str) -> Self {
        match word {
            "GAUGE" => Self::Gauge,
            "COUNTER" | "DCOUNTER" => Self::Counter,
            "DERIVE" | "DDERIVE" => Self::Derive,
            "ABSOLUTE" => Self::Absolute,
            _ => Self::Other,
        }
    }
}

impl Consolidation {
    fn from_word(word: &str) -> Self {
        match word {
            "AVERAGE" => Self::Average,
            "MIN" => Self::Min,
            "MAX" => Self::Max,
            "LAST" => Self::Last,
            _ => Self::Other,
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> Cursor<'a> {
    fn has(&self, expected: usize) -> Result<(), RrdError> {
        if self.bytes.len() >= expected {
            return Ok(());
        }
        let found = self.bytes.len() as u64;
        Err(RrdError::Short { found, expected: expected as u64 })
    }

    fn eight(&self, at: usize) -> Result<[u8; 8], RrdError> {
        self.has(at + 8)?;
        let bytes = self.bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
        bytes.ok_or(RrdError::NotRrd)
    }

    fn float(&self, at: usize) -> Result<f64, RrdError> {
        self.eight(at).map(|bytes| self.layout.float(bytes))
    }

    /// A number of `width` bytes, four or eight.
    fn number(&self, at: usize, width: usize) -> Result<u64, RrdError> {
        if width == 8 {
            let bytes = self.eight(at)?;
            return Ok(match self.layout.big {
                true => u64::from_be_bytes(bytes),
                false => u64::from_le_bytes(bytes),
            });
        }
        self.has(at + 4)?;
        let bytes = self.bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        let bytes: [u8; 4] = bytes.ok_or(RrdError::NotRrd)?;
        Ok(u64::from(match self.layout.big {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        }))
    }

    fn count(&self, at: usize) -> Result<u64, RrdError> {
        self.number(at, self.layout.long)
    }

    /// A number without a sign: four bytes of a time reach up to 2106.
    fn whole(&self, at: usize, width: usize) -> Result<i64, RrdError> {
        self.number(at, width).map(|n| i64::try_from(n).unwrap_or(-1))
    }

    /// Letters up to a zero.
    fn word(&self, at: usize, most: usize) -> Result<&'a str, RrdError> {
        let bytes = self.bytes.get(at..at + most).ok_or(RrdError::Damaged("a name"))?;
        let bytes = bytes.split(|b| *b == 0).next().unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| RrdError::Damaged("a name"))
    }
}
