//! collect: which distribution this is, from os-release.

use std::path::{Path, PathBuf};

use super::file::KeptFile;
use super::scan::{lines, name};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 1] =
    [Metric::gauge("node_os_info", "", "Always 1; its labels name the distribution.").by(&[
        "build_id",
        "id",
        "id_like",
        "image_id",
        "image_version",
        "name",
        "pretty_name",
        "variant",
        "variant_id",
        "version",
        "version_codename",
        "version_id",
    ])];

/// The value of each label.
type Release = [String; 12];

/// Fields by which a changed or replaced file is recognised.
type Stamp = (u64, u64, i64, i64, i64);

struct Os {
    /// The first that exists counts (os-release(5)).
    paths: [PathBuf; 2],
    /// The parsed file and its contents.
    known: Option<(usize, Stamp, Release)>,
}

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("os", "distribution", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    let paths = ["etc/os-release", "usr/lib/os-release"].map(|path| settings.root.join(path));
    Box::new(Os { paths, known: None })
}

/// An upgrade replaces the file, so a kept descriptor would show the old one for ever.
fn stamp(path: &Path) -> Option<Stamp> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime as _, stat.st_mtime_nsec as _))
}

/// Parses assignments as a shell does. Other lines are skipped.
fn parse(text: &[u8]) -> Release {
    let mut release = Release::default();
    for line in lines(text) {
        let Some(equals) = line.iter().position(|b| *b == b'=') else { continue };
        let (variable, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
        let is = |label: &&str| {
            label.len() == variable.len()
                && label.bytes().zip(variable).all(|(l, v)| l.to_ascii_uppercase() == *v)
        };
        if let Some(label) = METRICS[0].labels.iter().position(is) {
            release[label] = name(&unquote(value)).into_owned();
        }
    }
    release
}

/// Takes quotes and backslashes away as a shell does.
fn unquote(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    let mut quote = None;
    while let Some(b) = bytes.next() {
        match (b, quote) {
            (b'"' | b'\'', None) => quote = Some(b),
            (b, Some(q)) if b == q => quote = None,
            (b'\\', None) => out.extend(bytes.next()),
            // In double quotes a backslash stands for itself unless one of these follows.
            (b'\\', Some(b'"')) => {
                let hidden = bytes.next_if(|b| matches!(b, b'"' | b'\\' | b'$' | b'`'));
                out.push(hidden.unwrap_or(b));
            }
            (b, _) => out.push(b),
        }
    }
    out
}

impl Collector for Os {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let found = self.paths.iter().enumerate().find_map(|(i, p)| Some((i, stamp(p)?)));
        let (which, stamp) = found.ok_or(CollectError::Absent)?;
        if !matches!(&self.known, Some((w, s, _)) if (*w, *s) == (which, stamp)) {
            self.known = None;
            let release = parse(KeptFile::optional(self.paths[which].clone()).read()?);
            self.known = Some((which, stamp, release));
        }
        if let Some((_, _, release)) = &self.known {
            out.put_with(&METRICS[0], &release.each_ref().map(|label| &**label), 1.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] =
        b"# a comment\nPRETTY_NAME=\"Debian \\\"12\\\"\"\nNAME='De''b'\nID=debian\n\
        VERSION_ID=12\nhome_url=x\nname=no\n";

    #[test]
    fn as_a_shell_reads_it() {
        let release = parse(GOOD);
        assert_eq!(release[6], "Debian \"12\"");
        assert_eq!([&release[5], &release[1], &release[11]], ["Deb", "debian", "12"]);
        assert_eq!(unquote(b"\"a\\nb\"c\\ d"), b"a\\nbc d");
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(GOOD, |text| drop(parse(text)));
    }
}
