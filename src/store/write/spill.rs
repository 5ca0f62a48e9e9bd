//! store: the file `…-spill` beside the database. It holds samples while a reader keeps the
//! write-ahead log from being emptied and the log has reached its bound. There is none otherwise.
//!
//! ```text
//!   header   "PLIMSPIL"  version u32  id u64  crc32 of the 20 bytes before
//!   record   "SPIL"  length u32  crc32 of the content  content
//!   content  first number u32, count u32, names; count u32, batches
//!   name     system, job, name, kind, unit, help, count u32, (label, value)…; a text is length u32, bytes
//!   batch    source (text), ts i64, arrived i64, count u32, has times u8, (number u32, value 8 bytes)…, times i64…
//! ```
//!
//! All numbers are little-endian. A record is what one commit would have been; it is on disk before
//! anybody hears that its samples are kept. How far the file was taken in stands in the table `state`,
//! written in the transaction of the rows: each record is taken in once, whatever ends the process.

mod fields;

use std::fs::{File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use self::fields::{Cursor, put_series, put_text};
use crate::collect::regular;
use crate::model::{Pinned, Registry, SeriesRef};
use crate::pipeline::Batch;
use crate::store::damage::repair;
use crate::store::file::owner;

const MAGIC: &[u8; 8] = b"PLIMSPIL";
const VERSION: u32 = 1;
const HEADER: u64 = 24;
const RECORD: &[u8; 4] = b"SPIL";
const RECORD_HEADER: u64 = 12;
/// Bytes that are read at a time in search of the next whole record.
const SEARCHED: usize = 64 << 10;

/// `metrics.sqlite-spill` for `metrics.sqlite`.
pub(in crate::store) fn spill_path(database: &Path) -> PathBuf {
    repair::with(database, "-spill")
}

/// How far which file was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The file's own number.
    pub(super) id: i64,
    /// The bytes in front of this one are in the database.
    pub(super) at: u64,
}

/// Why samples could not be kept here.
#[derive(Debug)]
pub(in crate::store) enum NotKept {
    /// The file has reached its bound.
    Full,
    /// The disk refuses.
    Io(Error),
}

/// What is taken in next.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) batches: Vec<Batch>,
    /// What is to be remembered in the same transaction.
    pub(super) mark: Mark,
    /// Samples of it, and of these the ones whose name was damaged.
    pub(super) samples: u64,
    pub(super) nameless: u64,
}

/// The file, open for writing by the process that holds the database's lock.
#[derive(Debug)]
pub(in crate::store) struct Spill {
    file: File,
    path: PathBuf,
    id: i64,
    /// Bytes that are on disk and whole.
    end: u64,
    /// Bytes that were taken in.
    at: u64,
    /// The series of each number in the file; `None`: its name was in a damaged record.
    /// Pinned: they may wait here for days.
    names: Vec<Option<Pinned>>,
    /// The number in the file, plus one, of each series; 0: none.
    numbers: Vec<u32>,
    /// Samples that are not taken in yet.
    samples: u64,
}

impl Spill {
    /// Makes a new, empty one; on disk with its name when this returns.
    pub(super) fn begin(database: &Path) -> Result<Self> {
        // A number that no other file has: seeded by the system at each start of the process.
        let id = std::hash::RandomState::new().build_hasher().finish() as i64;
        let path = spill_path(database);
        let file = make(database, &path, |file| file.write_all_at(&header(id), 0))?;
        Ok(Self::empty(file, path, id))
    }

    /// Writes all that it holds into a new file in its place: somebody has deleted or replaced it, and the
    /// bytes are still there, as it is open.
    pub(super) fn write_again(&mut self, database: &Path) -> Result<()> {
        let (old, end) = (&self.file, self.end);
        self.file = make(database, &self.path, |file| {
            let mut bytes = vec![0; SEARCHED];
            let mut at = 0;
            while at < end {
                let some = SEARCHED.min(usize::try_from(end - at).unwrap_or(SEARCHED));
                old.read_exact_at(&mut bytes[..some], at)?;
                file.write_all_at(&bytes[..some], at)?;
                at += some as u64;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Whether it is the file that others find under its name.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |meta: Metadata| (meta.dev(), meta.ino());
        let found = self.path.symlink_metadata().map(identity);
        self.file.metadata().map(identity).is_ok_and(|own| found.is_ok_and(|found| found == own))
    }

    /// Looks whether somebody has cut it off: what was behind is lost, and what comes is written in its
    /// place.
    pub(super) fn mind_cut(&mut self) -> Result<()> {
        let length = self.file.metadata()?.len();
        if length >= self.end {
            return Ok(());
        }
        if length < HEADER {
            self.file.write_all_at(&header(self.id), 0)?;
        }
        self.end = length.max(HEADER);
        self.at = self.at.min(self.end);
        // Names may have been lost: they are written once more.
        self.numbers.clear();
        let before = self.samples;
        self.count()?;
        tracing::warn!(
            "{}: somebody has cut it off; {} samples that were kept in it are lost",
            self.path.display(),
            before.saturating_sub(self.samples)
        );
        Ok(())
    }

    fn empty(file: File, path: PathBuf, id: i64) -> Self {
        let (names, numbers) = (Vec::new(), Vec::new());
        Self { file, path, id, end: HEADER, at: HEADER, names, numbers, samples: 0 }
    }

    /// Opens the one that was left by a process that ended; `None`: there is none. What is not whole
    /// at its end was being written when the process ended, and nobody was told that it is kept.
    pub(super) fn find(
        database: &Path,
        registry: &Registry,
        mark: Option<Mark>,
    ) -> Result<Option<Self>> {
        let path = spill_path(database);
        match path.symlink_metadata() {
            Ok(meta) => regular::check(meta.file_type())?,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(&path)?;
        let length = file.metadata()?.len();
        let id = id_of(&file, length)?;
        let mut this = Self::empty(file, path, id);
        let mut damaged = 0;
        this.at = this.place(mark, length);
        while let Some(record) = next_record(&this.file, this.end, length)? {
            damaged += record.start - this.end;
            this.end = record.end;
            this.learn(&record.content, registry);
            if record.start >= this.at {
                this.samples += Cursor(&record.content).samples();
            }
        }
        if damaged > 0 {
            tracing::warn!(
                "{}: {damaged} bytes of it are damaged; the samples in them are lost",
                this.path.display()
            );
        }
        if this.end < length {
            this.file.set_len(this.end)?;
            this.file.sync_all()?;
        }
        this.went_to(mark)?;
        Ok(Some(this))
    }

    /// Learns the names of a record.
    fn learn(&mut self, content: &[u8], registry: &Registry) {
        let mut cursor = Cursor(content);
        let Some((first, names)) = cursor.names() else { return };
        for (number, series) in (first as usize..).zip(names) {
            // A name takes 28 bytes at least, so there cannot be more than that.
            if number as u64 > self.end / 28 {
                return;
            }
            if number >= self.names.len() {
                self.names.resize(number + 1, None);
            }
            self.names[number] = registry.pin(registry.intern(series));
        }
    }

    /// Where taking in goes on. A database that knows nothing of this file gets all of it: a sample
    /// that it has already is written once more with the same value.
    fn place(&self, mark: Option<Mark>, end: u64) -> u64 {
        mark.filter(|m| m.id == self.id && m.at <= end).map_or(HEADER, |m| m.at)
    }

    /// What the database says of how far it was taken in, after a new connection.
    pub(super) fn went_to(&mut self, mark: Option<Mark>) -> Result<()> {
        let place = self.place(mark, self.end);
        if place == self.at {
            return Ok(());
        }
        self.at = place;
        self.count()
    }

    /// Counts the samples that are not taken in yet.
    fn count(&mut self) -> Result<()> {
        let (mut at, mut samples) = (self.at, 0);
        while let Some(record) = next_record(&self.file, at, self.end)? {
            at = record.end;
            samples += Cursor(&record.content).samples();
        }
        self.samples = samples;
        Ok(())
    }

    /// Samples that wait to be taken in.
    pub(in crate::store) fn samples(&self) -> u64 {
        self.samples
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everything was taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// Keeps these batches: they are on disk when this returns, or nothing of them is kept. The file
    /// does not get longer than `most` bytes.
    pub(super) fn keep(
        &mut self,
        registry: &Registry,
        batches: &[Batch],
        most: u64,
    ) -> std::result::Result<(), NotKept> {
        let known = self.names.len();
        let kept = self.write(registry, batches, most);
        if kept.is_err() {
            for series in self.names.drain(known..).flatten() {
                self.numbers[series.number().place()] = 0;
            }
        }
        kept
    }

    fn write(
        &mut self,
        registry: &Registry,
        batches: &[Batch],
        most: u64,
    ) -> std::result::Result<(), NotKept> {
        let record = self.record(registry, batches);
        let end = self.end + record.len() as u64;
        if end > most || u32::try_from(record.len()).is_err() {
            return Err(NotKept::Full);
        }
        let written =
            self.file.write_all_at(&record, self.end).and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // The next record is written over what is left of this one.
            let _unused = self.file.set_len(self.end);
            return Err(NotKept::Io(e));
        }
        self.end = end;
        self.samples += batches.iter().map(|b| b.samples.len() as u64).sum::<u64>();
        Ok(())
    }

    fn record(&mut self, registry: &Registry, batches: &[Batch]) -> Vec<u8> {
        let samples: usize = batches.iter().map(|b| b.samples.len() + b.times.len()).sum();
        let mut out = Vec::with_capacity(12 * samples + 64 * batches.len() + 64);
        out.extend(RECORD);
        out.extend([0; 8]);
        let first = self.names.len();
        out.extend((first as u32).to_le_bytes());
        out.extend([0; 4]);
        for &(series, _) in batches.iter().flat_map(|b| &b.samples) {
            let at = series.place();
            if at >= self.numbers.len() {
                self.numbers.resize(at + 1, 0);
            }
            if self.numbers[at] == 0 {
                // One that was released was not written for minutes: nobody knows its name.
                let Some(pinned) = registry.pin(series) else { continue };
                put_series(&mut out, pinned.series());
                self.names.push(Some(pinned));
                self.numbers[at] = self.names.len() as u32;
            }
        }
        let new = (self.names.len() - first) as u32;
        out[16..20].copy_from_slice(&new.to_le_bytes());
        out.extend((batches.len() as u32).to_le_bytes());
        for batch in batches {
            put_text(&mut out, batch.source.name());
            out.extend(batch.ts.to_le_bytes());
            out.extend(batch.arrived.to_le_bytes());
            let number = |(series, _): &(SeriesRef, f64)| {
                self.numbers.get(series.place()).and_then(|number| number.checked_sub(1))
            };
            let known = batch.samples.iter().filter(|sample| number(sample).is_some()).count();
            out.extend((known as u32).to_le_bytes());
            let times = batch.times.len() == batch.samples.len();
            out.push(u8::from(times));
            for sample in &batch.samples {
                if let Some(number) = number(sample) {
                    out.extend(number.to_le_bytes());
                    out.extend(sample.1.to_bits().to_le_bytes());
                }
            }
            if times {
                let known = batch.times.iter().zip(&batch.samples);
                let known = known.filter(|(_, sample)| number(sample).is_some());
                known.for_each(|(ts, _)| out.extend(ts.to_le_bytes()));
            }
        }
        let length = (out.len() - RECORD_HEADER as usize) as u32;
        out[4..8].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&out[RECORD_HEADER as usize..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The oldest samples that were not taken in: whole records, until there are `enough` samples.
    pub(super) fn next(&self, enough: u64) -> Result<Next> {
        let mark = Mark { id: self.id, at: self.end };
        let mut next = Next { batches: Vec::new(), mark, samples: 0, nameless: 0 };
        let mut at = self.at;
        while next.samples < enough {
            let Some(record) = next_record(&self.file, at, self.end)? else { return Ok(next) };
            at = record.end;
            let mut cursor = Cursor(&record.content);
            let _behind_names = cursor.names().and_then(|_| cursor.u32());
            while let Some((batch, nameless)) = cursor.batch(&self.names) {
                next.samples += batch.samples.len() as u64 + nameless;
                next.nameless += nameless;
                next.batches.push(batch);
            }
        }
        next.mark.at = at;
        Ok(next)
    }

    /// Records that everything up to `next` is in the database now.
    pub(super) fn took(&mut self, next: &Next) {
        self.at = next.mark.at;
        self.samples = self.samples.saturating_sub(next.samples);
    }

    /// Removes the file, unless another one has taken its place. It may come back with a power cut: the
    /// database knows that it is done.
    pub(super) fn end(self) -> Result<()> {
        if self.is_in_place() { std::fs::remove_file(&self.path) } else { Ok(()) }
    }
}

fn header(id: i64) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER as usize);
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend(id.to_le_bytes());
    header.extend(crc32fast::hash(&header).to_le_bytes());
    header
}

/// Makes a file that was not there; on disk with its name, and what `fill` writes, when this returns.
fn make(database: &Path, path: &Path, fill: impl FnOnce(&File) -> Result<()>) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let _others = owner::of(database).and_then(|wanted| owner::give(path, wanted));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let on_disk = fill(&file)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
    if let Err(e) = on_disk {
        // Half a file would be refused by the next start.
        let _unused = std::fs::remove_file(path);
        return Err(e);
    }
    Ok(file)
}

/// What lies beside a database, for somebody who only looks; `None`: nothing. How many samples
/// wait in it.
pub(super) fn look(database: &Path, mark: Option<Mark>) -> Option<Result<u64>> {
    let path = spill_path(database);
    match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        Err(e) => return Some(Err(e)),
        Ok(meta) => {
            if let Err(e) = regular::check(meta.file_type()) {
                return Some(Err(e));
            }
        }
    }
    let count = || {
        let file = regular::open(&path)?;
        let length = file.metadata()?.len();
        let id = id_of(&file, length)?;
        let mut at = mark.filter(|m| m.id == id).map_or(HEADER, |m| m.at);
        let mut samples = 0;
        while let Some(record) = next_record(&file, at, length)? {
            at = record.end;
            samples += Cursor(&record.content).samples();
        }
        Ok(samples)
    };
    Some(count())
}

/// The number in the header, if it is one of ours.
fn id_of(file: &File, length: u64) -> Result<i64> {
    let strange = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut header = [0; HEADER as usize];
    if length < HEADER {
        return Err(strange("it is too short"));
    }
    file.read_exact_at(&mut header, 0)?;
    let mut cursor = Cursor(&header);
    let (Some(magic), Some(version), Some(id), Some(crc)) =
        (cursor.take(8), cursor.u32(), cursor.i64(), cursor.u32())
    else {
        return Err(strange("it is too short"));
    };
    if magic != MAGIC {
        return Err(strange("plimsoll did not write it"));
    }
    if version != VERSION {
        return Err(strange("another version of plimsoll wrote it"));
    }
    if crc != crc32fast::hash(&header[..20]) {
        return Err(strange("its beginning is damaged"));
    }
    Ok(id)
}

/// A record that is whole, and where it lies.
struct Record {
    start: u64,
    end: u64,
    content: Vec<u8>,
}

/// The first whole record from a place on. What is damaged in front of it is passed over.
fn next_record(file: &File, mut at: u64, end: u64) -> Result<Option<Record>> {
    loop {
        if end.saturating_sub(at) < RECORD_HEADER {
            return Ok(None);
        }
        let mut header = [0; RECORD_HEADER as usize];
        file.read_exact_at(&mut header, at)?;
        let mut cursor = Cursor(&header);
        let (magic, length, crc) = (cursor.take(4), cursor.u32(), cursor.u32());
        let length = u64::from(length.unwrap_or(0));
        let from = at + RECORD_HEADER;
        if magic == Some(RECORD) && length <= end - from {
            let mut content = vec![0; length as usize];
            file.read_exact_at(&mut content, from)?;
            if crc == Some(crc32fast::hash(&content)) {
                return Ok(Some(Record { start: at, end: from + length, content }));
            }
        }
        match search(file, at + 1, end)? {
            Some(found) => at = found,
            None => return Ok(None),
        }
    }
}

/// Where the next record may begin.
fn search(file: &File, mut at: u64, end: u64) -> Result<Option<u64>> {
    let mut bytes = vec![0; SEARCHED];
    while end.saturating_sub(at) >= RECORD_HEADER {
        let here = SEARCHED.min(usize::try_from(end - at).unwrap_or(SEARCHED));
        file.read_exact_at(&mut bytes[..here], at)?;
        if let Some(found) = bytes[..here].windows(RECORD.len()).position(|w| w == RECORD) {
            return Ok(Some(at + found as u64));
        }
        at += (here - RECORD.len() + 1) as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
