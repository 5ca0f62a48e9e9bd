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
    /// A key (a counter is drawn as its rate), a pattern with * and ?, or PromQL
    #[arg(value_name = "KEY|PROMQL")]
    expression: String,
    /// Length of the range up to --to
    #[arg(long, value_name = "DURATION", default_value = "1d", conflicts_with = "from")]
    range: String,
    /// Begin of the range: a date or time (UTC), seconds since 1970, or -1h, -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the range [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Write a picture to this file, which ends in .svg or .png [default: the terminal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Width in pixels, or in columns of the terminal [default: 800, or the whole width]
    #[arg(long, value_name = "N")]
    width: Option<u32>,
    /// Height in pixels, or in rows of the terminal [default: as needed]
    #[arg(long, value_name = "N")]
    height: Option<u32>,
    /// Colours for a light or a dark background
    #[arg(long, value_enum, default_value_t = ThemeName::Light)]
    theme: ThemeName,
    /// Title [default: the key or expression]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Scale factor of a PNG, 1 to 3; 2 suits high-density screens
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    scale: u8,
    /// Stack the series
    #[arg(long)]
    stacked: bool,
    /// Draw a threshold line at this value; may be repeated
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    threshold: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ThemeName {
    Light,
    Dark,
}

/// The kind of a file, by its name.
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
            _ => {
                anyhow::bail!("{}: the name of a picture must end in .svg or .png", path.display())
            }
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
    // Unsealed samples are worth reading at once for many series, but not for one.
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
                anyhow::anyhow!("--range: `{text}` is not a duration; write for example 6h")
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
            format!("the picture would have more than {most} million pixels; choose a smaller --width, --height or --scale")
        })?,
    };
    super::output::write(file, database, &bytes)
}
