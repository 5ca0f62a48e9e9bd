//! store: the pages of an SQLite file that SQLite itself will not read any more, with what its
//! write-ahead log holds of them. Plain reading of a file nobody has open; nothing is written.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use crate::collect::regular;

/// Every database file begins with it.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What ours have, unless somebody changed it.
const USUAL_PAGE: usize = 4_096;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// No file of ours is larger; a length that cannot be must not become a large table in memory.
pub(super) const MOST_PAGES: u32 = 1 << 24;

/// The pages of one file.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    log: Option<File>,
    /// Where the newest committed picture of a page lies in the log.
    frames: HashMap<u32, u64>,
    size: usize,
    count: u32,
}

impl Pages {
    /// Opens the file, or so many pages of it, and reads the index out of its log.
    pub(super) fn open(path: &Path, most: u32) -> std::io::Result<Self> {
        let file = regular::open(path)?;
        let mut header = [0; 100];
        let got = read_some(&file, &mut header, 0);
        let size = page_size(&header[..got]).unwrap_or(USUAL_PAGE);
        let length = file.metadata()?.len();
        let mut pages = Self {
            count: length.div_ceil(size as u64).min(u64::from(most)) as u32,
            file,
            log: None,
            frames: HashMap::new(),
            size,
        };
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        if let Ok(log) = regular::open(&PathBuf::from(name)) {
            pages.index(&log, most);
            pages.log = Some(log);
        }
        Ok(pages)
    }

    /// Bytes of a page.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The number of the last page.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Reads a page (the first is 1). What the file does not have is zero; false: not readable.
    pub(super) fn read(&self, page: u32, into: &mut Vec<u8>) -> bool {
        into.clear();
        into.resize(self.size, 0);
        if page == 0 || page > self.count {
            return false;
        }
        if let (Some(log), Some(at)) = (&self.log, self.frames.get(&page)) {
            return read_some(log, into, *at) == self.size;
        }
        let at = u64::from(page - 1) * self.size as u64;
        read_some(&self.file, into, at) > 0
    }

    /// Finds the committed frames of the log, as far as their checksums hold.
    fn index(&mut self, log: &File, most: u32) {
        let mut log = std::io::BufReader::new(log);
        let mut header = [0; LOG_HEADER];
        if log.read_exact(&mut header).is_err() {
            return;
        }
        let big = match word(&header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return,
        };
        if word(&header, 8) as usize != self.size {
            return;
        }
        let salts = (word(&header, 16), word(&header, 20));
        let mut sums = checksum((0, 0), &header[..24], big);
        if sums != (word(&header, 24), word(&header, 28)) {
            return;
        }
        let mut frame = vec![0; FRAME_HEADER + self.size];
        let mut open: Vec<(u32, u64)> = Vec::new();
        let mut at = LOG_HEADER as u64;
        while log.read_exact(&mut frame).is_ok() {
            sums = checksum(sums, &frame[..8], big);
            sums = checksum(sums, &frame[FRAME_HEADER..], big);
            if (word(&frame, 8), word(&frame, 12)) != salts
                || (word(&frame, 16), word(&frame, 20)) != sums
            {
                return;
            }
            open.push((word(&frame, 0), at + FRAME_HEADER as u64));
            at += frame.len() as u64;
            // The last frame of a transaction says how large the file is from then on.
            let pages = word(&frame, 4);
            if pages > 0 {
                self.frames.extend(open.drain(..));
                self.count = pages.min(most);
            }
        }
    }
}

/// What the header says, if it can be true.
fn page_size(header: &[u8]) -> Option<usize> {
    if header.get(..16)? != MAGIC {
        return None;
    }
    match u16::from_be_bytes([*header.get(16)?, *header.get(17)?]) {
        1 => Some(65_536),
        size if size >= 512 && size.is_power_of_two() => Some(usize::from(size)),
        _ => None,
    }
}

/// Whether the header, as far as it says, is that of an SQLite file: application id and version.
pub(super) fn header_of(path: &Path) -> Option<(i64, i64)> {
    let mut header = [0; 100];
    let got = read_some(&regular::open(path).ok()?, &mut header, 0);
    (got == header.len() && header[..16] == *MAGIC)
        .then(|| (i64::from(word(&header, 68)), i64::from(word(&header, 60))))
}

/// As much as there is; a bad sector ends it.
fn read_some(file: &File, into: &mut [u8], at: u64) -> usize {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    got
}

/// Four bytes as a number; callers have looked at the length.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn checksum(mut sums: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let number = |at| {
            let n = word(pair, at);
            if big { n } else { n.swap_bytes() }
        };
        sums.0 = sums.0.wrapping_add(number(0)).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(number(4)).wrapping_add(sums.0);
    }
    sums
}
