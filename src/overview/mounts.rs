//! overview: file systems beside their space: one that is out of inodes, and one that has become
//! read-only. As data beside the charts: both are looked at for every mount, and drawn for none.

use super::charts::{Chart, Line};
use super::columns::read;
use super::rules::INODES;
use super::verdict::{DAY_MS, Finding, Level, WIDTH_MS, holds};
use crate::model::Unit;
use crate::store::{Reader, SqlError, Want};

/// So far back one looks for a time when it could be written to.
const PAST_MS: i64 = 400 * DAY_MS;
/// Types of file systems that are never written.
const READ_ONLY_TYPES: [&str; 8] =
    ["squashfs", "iso9660", "erofs", "cramfs", "romfs", "udf", "fuse.snapfuse", "fuse.squashfuse"];

/// A mount with the numbers of its series in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mount {
    /// The mount point.
    pub point: String,
    /// The type of file system.
    pub fstype: String,
    /// How many files it can hold, and how many more.
    pub files: Option<i64>,
    /// See `files`.
    pub files_free: Option<i64>,
    /// 1 while nothing can be written to it.
    pub read_only: Option<i64>,
}

/// The newest value of a series, of the last minutes.
fn newest(reader: &Reader, series: i64, now: i64) -> Result<Option<f64>, SqlError> {
    let columns = read(reader, &Line::of_values(series), now - 3 * WIDTH_MS, now, WIDTH_MS)?;
    Ok(columns.mean.last().copied())
}

/// The findings about the mounts of a machine.
pub(super) fn mounts(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    for mount in charts.iter().flat_map(|c| &c.mounts) {
        let id = format!("disk:{}", mount.point);
        let chart = charts.iter().find(|c| c.id == id).map(|c| c.id.clone());
        let found = [inodes(reader, mount, now)?, read_only(reader, mount, now)?];
        for (level, text, since) in found.into_iter().flatten() {
            let subject = format!("Disk {}", mount.point);
            let until = None;
            // Two devices may be mounted on one point.
            let known = out.iter().any(|f| f.subject == subject && f.text == text);
            if !known {
                let (since, chart) = (Some(since), chart.clone());
                out.push(Finding { level, subject, text, since, until, chart });
            }
        }
    }
    Ok(())
}

type Found = Option<(Level, String, i64)>;

fn inodes(reader: &Reader, mount: &Mount, now: i64) -> Result<Found, SqlError> {
    let (Some(files), Some(free)) = (mount.files, mount.files_free) else { return Ok(None) };
    // File systems that make inodes as needed report none.
    let Some(files) = newest(reader, files, now)?.filter(|files| *files > 0.0) else {
        return Ok(None);
    };
    let least = files * (1.0 - INODES.0 / 100.0);
    if newest(reader, free, now)?.is_none_or(|free| free > least) {
        return Ok(None);
    }
    let Some((since, free)) = holds(reader, &Line::of_values(free), now, 1, |free| free <= least)?
    else {
        return Ok(None);
    };
    let used = 100.0 * (1.0 - free / files);
    let level = if used >= INODES.1 { Level::Bad } else { Level::Warning };
    Ok(Some((level, format!("{} of its inodes used", Unit::Percent.format(used)), since)))
}

/// Whether it has become read-only: most of the time before, it was not.
fn read_only(reader: &Reader, mount: &Mount, now: i64) -> Result<Found, SqlError> {
    let Some(series) = mount.read_only.filter(|_| !READ_ONLY_TYPES.contains(&&*mount.fstype))
    else {
        return Ok(None);
    };
    let is = |read_only: f64| read_only > 0.99;
    if !newest(reader, series, now)?.is_some_and(is) {
        return Ok(None);
    }
    let Some((mut since, _)) = holds(reader, &Line::of_values(series), now, 1, is)? else {
        return Ok(None);
    };
    if since <= now - DAY_MS + WIDTH_MS {
        let past = reader.summary(series, now - PAST_MS, now, 400, Want::Band)?;
        let Some(writable) = past.iter().rposition(|b| b.min < 0.5) else { return Ok(None) };
        since = past.get(writable + 1).map_or(since, |b| b.start);
    }
    let before = reader.summary(series, now - PAST_MS, since, 400, Want::Mean)?;
    let (samples, read_only) =
        before.iter().fold((0.0, 0.0), |(samples, sum), b| (samples + b.count as f64, sum + b.sum));
    // Either it was always read-only, or it usually is and was changed on purpose.
    if samples == 0.0 || read_only / samples >= 0.5 {
        return Ok(None);
    }
    Ok(Some((Level::Bad, "has become read-only".to_owned(), since)))
}
