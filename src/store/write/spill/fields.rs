//! store: the fields of a record of the file beside the database, written and read. The layout is in
//! `spill.rs`.

use crate::model::{Identity, Kind, Labels, Pinned, Series};
use crate::pipeline::{Batch, Source};

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

pub(super) fn put_series(out: &mut Vec<u8>, series: &Series) {
    let Identity { system, job, name, labels } = &series.identity;
    // No machine has an empty name: it stands for this one.
    put_text(out, system.as_deref().unwrap_or(""));
    put_text(out, job);
    put_text(out, name);
    put_text(out, series.kind.as_str());
    put_text(out, &series.unit);
    put_text(out, &series.help);
    out.extend((labels.len() as u32).to_le_bytes());
    for (name, value) in labels.iter() {
        put_text(out, name);
        put_text(out, value);
    }
}

/// Takes values off the front of bytes; `None`: there are not enough.
pub(super) struct Cursor<'b>(pub(super) &'b [u8]);

impl<'b> Cursor<'b> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = self.u32()?;
        std::str::from_utf8(self.take(length as usize)?).ok()
    }

    /// The names of a record, and the number of the first.
    pub(super) fn names(&mut self) -> Option<(u32, Vec<Series>)> {
        let (first, count) = (self.u32()?, self.u32()?);
        let names = (0..count).map(|_| self.series()).collect::<Option<_>>()?;
        Some((first, names))
    }

    fn series(&mut self) -> Option<Series> {
        let (system, job, name) = (self.text()?, self.text()?, self.text()?);
        let (kind, unit, help) = (self.text()?, self.text()?, self.text()?);
        let count = self.u32()?;
        let labels = (0..count)
            .map(|_| Some((self.text()?, self.text()?)))
            .collect::<Option<Vec<(&str, &str)>>>()?;
        let system = Some(system).filter(|s| !s.is_empty()).map(Into::into);
        let identity = Identity { system, ..Identity::local(job, name, Labels::new(labels)) };
        let kind = Kind::from_word(kind);
        Some(Series { identity, kind, unit: unit.into(), help: help.into() })
    }

    /// The next batch, and how many of its samples have no name.
    pub(super) fn batch(&mut self, names: &[Option<Pinned>]) -> Option<(Batch, u64)> {
        if self.0.is_empty() {
            return None;
        }
        let (source, ts, arrived, count, times) = self.batch_head()?;
        let source = Source::ALL.into_iter().find(|s| s.name() == source)?;
        let values = self.take(count.checked_mul(12)?)?;
        let stamps = if times { self.take(count.checked_mul(8)?)? } else { &[] };
        let mut stamps = Cursor(stamps);
        let mut batch = Batch::of(source, ts, Vec::with_capacity(count));
        batch.arrived = arrived;
        let mut nameless = 0;
        let mut values = Cursor(values);
        while let (Some(number), Some(bits)) = (values.u32(), values.i64()) {
            let stamp = stamps.i64();
            let Some(series) = names.get(number as usize).and_then(Option::as_ref) else {
                nameless += 1;
                continue;
            };
            batch.samples.push((series.number(), f64::from_bits(bits as u64)));
            batch.times.extend(stamp);
        }
        Some((batch, nameless))
    }

    fn batch_head(&mut self) -> Option<(&'b str, i64, i64, usize, bool)> {
        Some((self.text()?, self.i64()?, self.i64()?, self.u32()? as usize, self.u8()? == 1))
    }

    /// How many samples are in a record.
    pub(super) fn samples(&mut self) -> u64 {
        let mut samples = 0;
        let mut count = || {
            let _names = self.names()?;
            let batches = self.u32()?;
            for _ in 0..batches {
                let (_, _, _, count, times) = self.batch_head()?;
                samples += count as u64;
                self.take(count.checked_mul(if times { 20 } else { 12 })?)?;
            }
            Some(())
        };
        let _unused = count();
        samples
    }
}
