//! cli: `plimsoll graph`: a picture of a series or of an expression, on the terminal or as a file.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::tz::TimeZone;

use super::{Global, screen};
use crate::draw::{self, Chart, Theme, terminal};
use crate::model::{Clock, SystemClock};
use crate::query::eval::Limits;
use crate::query::{Catalog, number};
use crate::store::Reader;
use crate::wire::time;

/// `plimsoll graph`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll graph cpu\n  \
    plimsoll graph 'disk_*' --range 30d -o disks.svg\n  \
    plimsoll graph 'sum by (mode) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))' --stacked\n  \
    plimsoll graph memory --from 2026-07-01 --to 2026-07-02 --theme dark -o ticket.png")]
pub struct Args {
    /// A series' key (a counter is shown as its rate), keys with * and ?, or PromQL
    #[arg(value_name = "KEY|PROMQL")]
    expression: String,
    /// How long a time, up to --to
    #[arg(long, value_name = "DURATION", default_value = "1d", conflicts_with = "from")]
    range: String,
    /// From when: a date or time (UTC), seconds since 1970, or -1h, -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Write a picture into this file; its ending, .svg or .png, says of which kind
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Its width in pixels, or in letters on the terminal [default: 800, or as wide as there is room]
    #[arg(long, value_name = "N")]
    width: Option<u32>,
    /// Its height in pixels, or in rows on the terminal [default: as high as it takes]
    #[arg(long, value_name = "N")]
    height: Option<u32>,
    /// Light or dark
    #[arg(long, value_enum, default_value_t = ThemeName::Light)]
    theme: ThemeName,
    /// What stands above it [default: what was asked for]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A PNG so many times as large, for screens with small pixels
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    scale: u8,
    /// One line on top of the other
    #[arg(long)]
    stacked: bool,
    /// A value that should not be passed; may be given more than once
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    threshold: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ThemeName {
    Light,
    Dark,
}

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Svg,
    Png,
}

impl Kind {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => anyhow::bail!("{}: a picture's name ends in .svg or .png", path.display()),
        }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let kind = args.output.as_deref().map(Kind::of).transpose()?;
    let (from, to) = when(args)?;
    let size = |name: &str, value: Option<u32>, least: u32, most: u32| match value {
        Some(value) if kind.is_some() && !(least..=most).contains(&value) => {
            anyhow::bail!("--{name} {value}: from {least} to {most} pixels")
        }
        value => Ok(value),
    };
    let width = size("width", args.width, 160, 4_000)?;
    let height = size("height", args.height, 80, 4_000)?;
    let letters = width.map_or_else(screen::width, |w| (w as usize).clamp(20, 1_000));
    let points = match kind {
        Some(_) => width.unwrap_or(800).saturating_sub(90).max(50),
        None => (letters as u32 * 2).max(40),
    };
    let path = global.database()?;
    let reader = Reader::open(&path)?;
    // What is not sealed yet is worth reading at once for many series, not for one.
    let one = reader.series()?.iter().any(|k| k.key == args.expression.trim());
    let reader = if one { reader } else { reader.load_head()? };
    let catalog = Catalog::read(&reader)?;
    let ask =
        draw::Ask { expression: &args.expression, from, to, points, limits: Limits::default() };
    let mut chart = draw::gather(&reader, &catalog, &ask)?;
    chart.stacked = args.stacked;
    chart.thresholds = args.threshold.clone();
    if let Some(title) = &args.title {
        chart.title = draw::clean(title);
    }
    match (&args.output, kind) {
        (Some(file), Some(kind)) => {
            write(args, &chart, (file, &path), kind, width.unwrap_or(800), height)
        }
        _ => show(&chart, letters, args.height),
    }
}

/// Prints a chart on the terminal.
pub(super) fn show(chart: &Chart, width: usize, rows: Option<u32>) -> anyhow::Result<()> {
    let field = rows.map_or(15, |r| (r as usize).clamp(2, 500));
    let zone = TimeZone::system();
    let unicode = screen::is_unicode();
    let page = terminal::Page { width, field, legend: 20, title: true, unicode, zone: &zone };
    let colours = std::io::stdout().is_terminal() && screen::has_colours();
    let mut out = super::painted_stdout();
    out.write_all(terminal::cells(chart, &page).text(colours).as_bytes())?;
    out.flush()?;
    Ok(())
}

fn when(args: &Args) -> anyhow::Result<(i64, i64)> {
    let now = SystemClock.wall_ms();
    let to = args.to.as_deref().map_or(Ok(now), |t| time::parse_when(t, now)).context("--to")?;
    let from = match &args.from {
        Some(text) => time::parse_when(text, now).context("--from")?,
        None => {
            let text = &args.range;
            let length = number::parse_duration(text).map_err(|_| {
                anyhow::anyhow!("--range: `{text}` is no duration; 30m, 6h, 7d are")
            })?;
            to.saturating_sub(length)
        }
    };
    anyhow::ensure!(from < to, "--from must be earlier than --to");
    Ok((from, to))
}

fn write(
    args: &Args,
    chart: &Chart,
    (file, database): (&Path, &Path),
    kind: Kind,
    width: u32,
    height: Option<u32>,
) -> anyhow::Result<()> {
    let theme = match args.theme {
        ThemeName::Light => Theme::Light,
        ThemeName::Dark => Theme::Dark,
    };
    let frame = draw::Frame { width, height, theme, ..draw::Frame::default() };
    let picture = draw::picture(chart, &frame);
    let bytes = match kind {
        Kind::Svg => draw::svg(&picture).into_bytes(),
        Kind::Png => draw::png(&picture, f32::from(args.scale)).with_context(|| {
            let most = draw::MOST_PIXELS / 1_000_000;
            format!("this would be more than {most} million pixels; make it smaller")
        })?,
    };
    super::output::write(file, database, &bytes)
}
