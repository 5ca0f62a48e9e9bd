//! cli: `plimsoll import sar`: what sysstat's sadc wrote, by way of `sadf -j`, which knows the forms
//! of all its versions.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::files::Target;
use super::is_here;
use crate::cli::{Global, show};
use crate::collect::regular;
use crate::wire::{Record, sar};

/// `plimsoll import sar`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Where a number is what node_exporter calls node_…, it has that name (load, memory, \
    sockets); everything\nelse is sar_SECTION_FIELD, as sadf names them: rates and shares as sar makes them."
)]
pub struct Args {
    /// Files of sadc: /var/log/sysstat/sa22, or what sar -o wrote
    #[arg(required = true)]
    file: Vec<PathBuf>,
}

/// Longest text of one moment: a thousand CPUs with all their interrupts have less.
const LONGEST: usize = 32 << 20;
/// How each element of `statistics` begins and ends, on a line of its own.
const INDENT: &str = "\t\t\t\t";
/// Rows handed over at once.
const BATCH: usize = 20_000;

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    for file in &args.file {
        regular::open(file).with_context(|| file.display().to_string())?;
    }
    let path = match &global.db {
        Some(db) => db.clone(),
        None => global.database()?,
    };
    let mut store = None;
    let mut target = Target::open(&path, &mut store)?;
    let mut taken = 0;
    for file in &args.file {
        taken += one(file, &mut target).with_context(|| file.display().to_string())?;
    }
    let goes = match target {
        Target::Store(import) => {
            taken -= import.finish()?;
            "imported into"
        }
        Target::Daemon(_) => "handed to the running plimsoll of",
    };
    let mut out = crate::cli::stdout();
    writeln!(out, "{} samples {goes} {}", show::count(taken), path.display())?;
    Ok(out.flush()?)
}

fn one(file: &Path, target: &mut Target<'_>) -> anyhow::Result<u64> {
    let mut child = Command::new("sadf")
        .args(["-j", "-U"])
        .arg(file)
        .args(["--", "-A"])
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("sadf, which reads such files, cannot be run: apt install sysstat")?;
    let told = child.stderr.take().map(|err| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _unused = err.take(10_000).read_to_string(&mut text);
            text
        })
    });
    let read = match child.stdout.take() {
        Some(out) => moments(BufReader::new(out), target),
        None => Ok(0),
    };
    if read.is_err() {
        // It would wait for somebody to read the rest.
        let _unused = child.kill();
    }
    let status = child.wait()?;
    let said = told.and_then(|t| t.join().ok()).unwrap_or_default();
    let taken = read?;
    anyhow::ensure!(status.success(), "sadf: {}", said.trim());
    anyhow::ensure!(taken > 0, "there is no sample in it");
    Ok(taken)
}

fn moments(mut input: impl BufRead, target: &mut Target<'_>) -> anyhow::Result<u64> {
    let (mut line, mut text, mut inside) = (String::new(), String::new(), false);
    let (mut batch, mut taken, mut other): (Vec<Record>, u64, _) = (Vec::new(), 0, None);
    loop {
        line.clear();
        if input.by_ref().take(LONGEST as u64).read_line(&mut line)? == 0 {
            break;
        }
        if let Some(host) = sar::node_name(&line) {
            other = (!is_here(host, &crate::daemon::host_name())).then(|| host.to_owned());
        }
        // Samples of several hosts would become one series.
        anyhow::ensure!(
            other.is_none(),
            "this is of another host, {}; only files of this machine can be imported",
            other.unwrap_or_default()
        );
        let own = line.strip_prefix(INDENT).map(str::trim_end);
        inside |= own == Some("{");
        if inside {
            anyhow::ensure!(text.len() + line.len() < LONGEST, "one moment is longer than 32 MB");
            text.push_str(&line);
        }
        if inside && matches!(own, Some("}" | "},")) {
            let whole = text.trim_end().trim_end_matches(',');
            sar::moment(whole, |key, ts, value| {
                batch.push(Record { key: key.to_owned(), ts, value });
            })
            .map_err(|e| anyhow::anyhow!("what sadf printed cannot be read: {e}"))?;
            text.clear();
            inside = false;
            if batch.len() >= BATCH {
                target.write(&batch)?;
                taken += batch.len() as u64;
                batch.clear();
            }
        }
    }
    target.write(&batch)?;
    Ok(taken + batch.len() as u64)
}
