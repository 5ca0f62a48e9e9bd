//! cli: `plimsoll backup`: one consistent copy, while the daemon writes.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::Global;
use crate::model::Unit;
use crate::store::Reader;

/// `plimsoll backup`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write; it must not exist yet
    file: PathBuf,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let reader = Reader::open(&global.database()?)?;
    anyhow::ensure!(
        !args.file.exists(),
        "{} exists and was not changed\n  give another name",
        args.file.display()
    );
    // Also while the daemon's write-ahead log or socket does not exist.
    super::output::check(&args.file, reader.path())?;
    // Under another name first: a copy that was cut off is never taken for a backup.
    let mut partial = args.file.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = reader.backup(&partial).context("cannot copy the database").and_then(|()| {
        std::fs::File::open(&partial)?.sync_all()?;
        std::fs::rename(&partial, &args.file).context("cannot rename the copy")
    });
    if let Err(e) = made {
        let _unused = std::fs::remove_file(&partial);
        return Err(e.context(format!("{}", args.file.display())));
    }
    let bytes = std::fs::metadata(&args.file)?.len();
    let mut out = super::stdout();
    writeln!(out, "{}: {}", args.file.display(), Unit::Bytes.format(bytes as f64))?;
    out.flush()?;
    Ok(())
}
