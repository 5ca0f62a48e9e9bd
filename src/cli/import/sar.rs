//! cli: `plimsoll import sar`: what sysstat's sadc wrote, by way of `sadf -j`, which knows the forms
//! of all its versions.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::files::{Failed, Target};
use super::is_here;
use crate::cli::{Global, show};
use crate::collect::regular;
use crate::wire::{Record, sar};

/// `plimsoll import sar`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Values that node_exporter has, too, get its names (load, memory, sockets). All others\n\
    are named sar_SECTION_FIELD, as sadf names them: rates and shares as sar computes them."
)]
pub struct Args {
    /// Files of sadc, for example /var/log/sysstat/sa22, or the output of sar -o
    #[arg(required = true)]
    file: Vec<PathBuf>,
}

/// Longest text of one moment: a thousand CPUs with all their interrupts have less.
const LONGEST: usize = 32 << 20;
/// The begin and end of each element of `statistics`, on a line of its own.
const INDENT: &str = "\t\t\t\t";
/// Rows handed over at once.
const BATCH: usize = 20_000;

/// Longest words of sadf that are told, in bytes.
const MOST_WORDS: u64 = 10_000;

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    for file in &args.file {
        regular::open(file).with_context(|| file.display().to_string())?;
    }
    let path = match &global.db {
        Some(db) => db.clone(),
        None => global.database()?,
    };
    let mut store = None;
    let limits = super::limits(global);
    let mut target = Target::open(&path, limits, &mut store)?;
    let (mut taken, mut failed) = (0, Failed::default());
    for file in &args.file {
        let read = one(file, &mut target)?;
        taken += read.taken;
        for words in &read.words {
            writeln!(crate::cli::stderr(), "{}: {words}", file.display())?;
        }
        if let Some(why) = read.failed {
            failed.add(file, why)?;
        }
    }
    let goes = match target {
        Target::Store(import) => {
            taken -= import.finish()?;
            "imported into"
        }
        Target::Daemon(_) => "handed to the running plimsoll of",
    };
    let mut out = crate::cli::stdout();
    if taken > 0 {
        writeln!(out, "{} {goes} {}", show::counted(taken, "sample", "samples"), path.display())?;
    }
    out.flush()?;
    super::tell_of_room(store.is_some_and(|store| store.gave_way()), &limits)?;
    failed.end()
}

/// The result of one file. Samples read before a failure are kept.
#[derive(Default)]
struct Read {
    taken: u64,
    /// The messages about it.
    words: Vec<String>,
    failed: Option<String>,
}

/// An error is the database's: there is no point in going on.
fn one(file: &Path, target: &mut Target<'_>) -> anyhow::Result<Read> {
    let mut out = Read::default();
    let child = Command::new("sadf")
        .args(["-j", "-U"])
        .arg(file)
        .args(["--", "-A"])
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run sadf, which reads these files: apt install sysstat");
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            out.failed = Some(format!("{e:#}"));
            return Ok(out);
        }
    };
    let told = child.stderr.take().map(|mut err| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _unused = err.by_ref().take(MOST_WORDS).read_to_end(&mut text);
            // A pipe that is neither read nor closed would block it.
            let _unused = std::io::copy(&mut err, &mut std::io::sink());
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let read = match child.stdout.take() {
        Some(stdout) => moments(BufReader::new(stdout), target, &mut out),
        None => Ok(()),
    };
    if read.is_err() || out.failed.is_some() {
        // Otherwise it would wait for a reader of the rest.
        let _unused = child.kill();
    }
    let status = child.wait()?;
    read?;
    let said = told.and_then(|t| t.join().ok()).unwrap_or_default();
    let mut said: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    said.dedup();
    let said = said.join("; ");
    if out.failed.is_some() {
        return Ok(out);
    }
    let rest = match out.taken {
        0 => "",
        _ => "; the samples before that were imported",
    };
    match (status.signal(), status.success()) {
        (Some(signal), _) => {
            let words = if said.is_empty() { String::new() } else { format!(" ({said})") };
            let what = format!("signal {signal} ended sadf{words}{rest}");
            out.failed = Some(format!("{what}; a newer sysstat may be able to read the file"));
        }
        (None, false) if said.is_empty() => {
            out.failed = Some(format!("sadf failed without a message: {status}{rest}"));
        }
        (None, false) => out.failed = Some(format!("sadf: {said}{rest}")),
        (None, true) if out.taken == 0 && said.is_empty() => {
            out.failed = Some("the file has no samples".to_owned());
        }
        (None, true) if out.taken == 0 => {
            out.failed = Some(format!("the file has no samples; sadf: {said}"));
        }
        (None, true) if !said.is_empty() => out.words.push(format!("sadf: {said}")),
        (None, true) => {}
    }
    Ok(out)
}

fn moments(mut input: impl BufRead, target: &mut Target<'_>, out: &mut Read) -> anyhow::Result<()> {
    let (mut line, mut text, mut inside) = (Vec::new(), String::new(), false);
    let mut batch: Vec<Record> = Vec::new();
    let (mut bad, mut first) = (0u64, None);
    loop {
        line.clear();
        match input.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => {
                out.failed = Some(e.to_string());
                break;
            }
        }
        let line = String::from_utf8_lossy(&line);
        let host = sar::node_name(&line);
        // Samples of several hosts would become one series.
        if let Some(other) = host.filter(|host| !is_here(host, &crate::config::host_name())) {
            out.failed = Some(format!(
                "the file is from another host, {other}; only files of this machine can be imported"
            ));
            break;
        }
        let own = line.strip_prefix(INDENT).map(str::trim_end);
        inside |= own == Some("{");
        if inside {
            if text.len() + line.len() >= LONGEST {
                out.failed = Some("one moment is longer than 32 MiB".to_owned());
                break;
            }
            text.push_str(&line);
        }
        if inside && matches!(own, Some("}" | "},")) {
            let whole = text.trim_end().trim_end_matches(',');
            let read = sar::moment(whole, |key, ts, value| {
                batch.push(Record { key: key.to_owned(), ts, value });
            });
            if let Err(e) = read {
                bad += 1;
                first.get_or_insert(e);
            }
            text.clear();
            inside = false;
            if batch.len() >= BATCH {
                target.write(&batch)?;
                out.taken += batch.len() as u64;
                batch.clear();
            }
        }
    }
    target.write(&batch)?;
    out.taken += batch.len() as u64;
    if let Some(first) = first {
        let moments = if bad == 1 { "moment was" } else { "moments were" };
        out.words.push(format!("{bad} {moments} left out because sadf printed: {first}"));
    }
    Ok(())
}
