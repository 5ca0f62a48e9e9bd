//! cli: `plimsoll send`: values from a shell, straight into the file: the daemon takes them in at its
//! next beat, and need not run.

use std::io::{self, Read, Write};

use anyhow::Context;

use super::{Global, show};
use crate::model::{Clock, Kind, Labels, SystemClock, parse_key, write_key};
use crate::pipeline::{OLDEST_MS, reserved};
use crate::receive::lines::Lines;
use crate::store::InboxSender;
use crate::wire::mixed::{Look, Reader};
use crate::wire::time::{format_timestamp, parse_when};
use crate::wire::value::parse_value;
use crate::wire::{Record, Records};

/// `plimsoll send`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll send room_temperature 21.5 --tag floor=1\n  \
    plimsoll send backup_done_total 17 --type counter --at '5m ago'\n  \
    vmstat -n 1 | awk 'NR > 2 { print \"running\", $1; fflush() }' | plimsoll send -\n\n\
    Formats of lines: key value [time], Graphite, Influx, JSON, Prometheus text.")]
pub struct Args {
    /// The key of the series, or - to read lines from standard input
    key: String,
    /// A number, NaN, +Inf or -Inf
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
    /// gauge (goes up and down) or counter (only grows), for a new series
    #[arg(long = "type", value_parser = parse_kind)]
    kind: Option<Kind>,
    /// A label of the series; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Time of the measurement: a date, seconds since 1970, '5m ago' [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Format of all lines: graphite (also for key value), influx, json or prometheus [default:
    /// recognised line by line]
    #[arg(long, value_parser = parse_look)]
    format: Option<Look>,
}

/// Characters of a key, with its labels.
const LONGEST_KEY: usize = 1_000;

/// Bad lines told; the others are only counted.
const TOLD: u64 = 10;

fn parse_kind(text: &str) -> Result<Kind, String> {
    match text {
        "gauge" => Ok(Kind::Gauge),
        "counter" => Ok(Kind::Counter),
        _ => Err("gauge or counter".to_owned()),
    }
}

pub(super) fn parse_tag(text: &str) -> Result<(String, String), String> {
    let odd = ['{', '}', '"', ',', '='];
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() && !name.contains(odd) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("NAME=VALUE".to_owned()),
    }
}

fn parse_look(text: &str) -> Result<Look, String> {
    Look::from_name(text)
        .ok_or_else(|| format!("use one of {}", Look::ALL.map(Look::name).join(", ")))
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let now = SystemClock.wall_ms();
    let at = args.at.as_deref().map(|at| parse_when(at, now)).transpose()?;
    let db = global.database()?;
    if args.key == "-" {
        anyhow::ensure!(args.value.is_none(), "`send -` takes its values from standard input only");
        let mut sender = InboxSender::open(&db)?;
        return lines(args, at, &mut sender, io::stdin().lock());
    }
    let text = args.value.as_deref().context("no value: plimsoll send KEY VALUE")?;
    let value = parse_value(text).map_err(anyhow::Error::msg)?;
    let mut record = Record { key: args.key.clone(), ts: at.unwrap_or(now), value };
    tag(&mut record, &args.tags);
    fits(&record).map_err(anyhow::Error::msg)?;
    let mut sender = InboxSender::open(&db)?;
    if let Some(why) = measured(&sender, &record.key)? {
        anyhow::bail!(why);
    }
    if let Some(kind) = args.kind {
        sender.describe(&record.key, kind, "", "")?;
    }
    sender.send(std::iter::once((record.key.as_str(), record.ts, record.value)))?;
    Ok(())
}

/// Checks the rules of the database; a bad line must not cost the others.
fn fits(record: &Record) -> Result<(), String> {
    match record.key.chars().count() {
        0 => Err("no key".to_owned()),
        1..=LONGEST_KEY if record.ts < OLDEST_MS => {
            Err(format!("the time {} lies before 2000-01-01", format_timestamp(record.ts)))
        }
        1..=LONGEST_KEY => Ok(()),
        n => Err(format!("the key has {n} characters; {LONGEST_KEY} are allowed")),
    }
}

/// The reason why this key must not be sent: this machine measures it; `None` if it is allowed.
fn measured(sender: &InboxSender, key: &str) -> anyhow::Result<Option<String>> {
    let of = sender.identity(key)?;
    Ok(if of.system.is_none() { reserved(&of.job, &of.name, &of.labels) } else { None })
}

/// Adds what the command line says of every series.
fn tag(record: &mut Record, tags: &[(String, String)]) {
    if tags.is_empty() {
        return;
    }
    let (name, labels) = parse_key(&record.key);
    let own = labels.iter().chain(tags.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let labels = Labels::new(own.map(|(n, v)| (n.to_owned(), v.to_owned())));
    record.key.clear();
    write_key(&mut record.key, &name, labels.iter());
}

/// The counts so far.
#[derive(Default)]
struct Tally {
    sent: u64,
    bad: u64,
    /// Lines before the piece at hand.
    lines: u64,
}

/// Sends lines as they come, with their time: everything that can be read is sent before the next
/// read may wait.
fn lines(
    args: &Args,
    at: Option<i64>,
    sender: &mut InboxSender,
    mut input: impl Read,
) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let mut framing = Lines::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = match input.read(&mut piece) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).context("standard input"),
        };
        let mut done = Ok(());
        let whole = |text: &[u8]| {
            if done.is_ok() {
                done = send(args, at, sender, &mut tally, text);
            }
        };
        if read == 0 {
            framing.finish(whole);
            done?;
            break;
        }
        let too_long = framing.feed(piece.get(..read).unwrap_or_default(), whole);
        done?;
        tally.bad += too_long;
    }
    anyhow::ensure!(
        tally.bad == 0,
        "{} lines could not be read; {} values were sent",
        show::count(tally.bad),
        show::count(tally.sent)
    );
    Ok(())
}

/// Whole lines, in one transaction.
fn send(
    args: &Args,
    at: Option<i64>,
    sender: &mut InboxSender,
    tally: &mut Tally,
    text: &[u8],
) -> anyhow::Result<()> {
    let now = SystemClock.wall_ms();
    let mut reader = Reader::new(text, args.format, now);
    let mut record = Record::default();
    let mut batch: Vec<Record> = Vec::new();
    let mut bad = |line: Option<u64>, reason: &str| -> io::Result<()> {
        tally.bad += 1;
        match line {
            _ if tally.bad > TOLD => Ok(()),
            Some(line) => writeln!(super::stderr(), "line {}: {reason}", tally.lines + line),
            None => writeln!(super::stderr(), "{reason}"),
        }
    };
    while let Some(result) = reader.next(&mut record) {
        if let Err(e) = result {
            bad(Some(e.line), &e.reason)?;
            continue;
        }
        tag(&mut record, &args.tags);
        record.ts = at.unwrap_or(record.ts);
        if let Err(reason) = fits(&record) {
            bad(None, &reason)?;
            continue;
        }
        if let Some(reason) = measured(sender, &record.key)? {
            bad(None, &reason)?;
            continue;
        }
        let said = reader.about();
        if let Some(kind) = args.kind.or(said.as_ref().map(|a| a.kind)) {
            let (unit, help) = said.map_or(("", ""), |a| (a.unit, a.help));
            sender.describe(&record.key, kind, unit, help)?;
        }
        batch.push(record.clone());
    }
    sender.send(batch.iter().map(|r| (r.key.as_str(), r.ts, r.value)))?;
    tally.sent += batch.len() as u64;
    tally.lines += text.iter().filter(|b| **b == b'\n').count() as u64;
    Ok(())
}
