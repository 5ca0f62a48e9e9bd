//! wire: the layout of an RRD file in memory, by the kind of machine that wrote it.
//!
//! `float_cookie` shows the byte order and the alignment of doubles (8, or 4 on i386). Whether
//! `unsigned long` and `time_t` have 8 or 4 bytes follows from the fields after it, and from the
//! length of the file.

use super::RrdError;

/// The value of `float_cookie`.
pub(super) const FLOAT_COOKIE: f64 = 8.642135E130;
/// `cookie` and `version`.
const BEFORE_COOKIE: usize = 9;
/// `par` of each structure: ten numbers.
const PARAMETERS: usize = 80;
/// `cf_nam`
const WORD: usize = 20;

/// See the module's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Highest byte first.
    pub(super) big: bool,
    /// Bytes of `unsigned long`.
    pub(super) long: usize,
    /// Bytes of `time_t`.
    pub(super) time: usize,
    /// The alignment of doubles.
    pub(super) align: usize,
}

/// That of this kind of machine: x86_64, arm64.
pub(super) const HERE: Layout = Layout { big: false, long: 8, time: 8, align: 8 };

/// Those that the file can have by its cookie, the likeliest first.
pub(super) fn fitting(bytes: &[u8]) -> Result<Vec<Layout>, RrdError> {
    let mut out = Vec::new();
    for (align, sizes) in [(8, &[(8, 8), (4, 4), (4, 8)][..]), (4, &[(4, 4), (4, 8)])] {
        let at = BEFORE_COOKIE.next_multiple_of(align);
        let Some(cookie) = bytes.get(at..at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) else {
            if align == 4 || bytes.len() >= at + 8 {
                continue;
            }
            let expected = HERE.head() as u64;
            return Err(RrdError::Short { found: bytes.len() as u64, expected });
        };
        let big = match cookie {
            c if f64::from_le_bytes(c) == FLOAT_COOKIE => false,
            c if f64::from_be_bytes(c) == FLOAT_COOKIE => true,
            _ => continue,
        };
        out.extend(sizes.iter().map(|&(long, time)| Layout { big, long, time, align }));
    }
    Ok(out)
}

impl Layout {
    pub(super) fn float(self, bytes: [u8; 8]) -> f64 {
        if self.big { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) }
    }

    /// The place of the counts in the head.
    pub(super) fn counts(self) -> usize {
        BEFORE_COOKIE.next_multiple_of(self.align) + 8
    }

    /// Length of the head.
    pub(super) fn head(self) -> usize {
        (self.counts() + 3 * self.long).next_multiple_of(self.align) + PARAMETERS
    }

    /// The place of the counts in the definition of an archive.
    pub(super) fn rows(self) -> usize {
        WORD.next_multiple_of(self.long)
    }

    /// Length of the definition of an archive.
    pub(super) fn archive(self) -> usize {
        (self.rows() + 2 * self.long).next_multiple_of(self.align) + PARAMETERS
    }

    /// Length of the time of the last update.
    pub(super) fn live(self) -> usize {
        (self.time + self.long).next_multiple_of(self.time.min(self.align))
    }

    /// A description of the machine, if it differs from this one.
    pub(super) fn machine(self) -> Option<&'static str> {
        match (self.long, self.big) {
            (8, false) => None,
            (8, true) => Some("64 bits, highest byte first"),
            (_, false) => Some("32 bits, lowest byte first"),
            (_, true) => Some("32 bits, highest byte first"),
        }
    }
}
