//! cli: `plimsoll snapshot`: the page as one file with its numbers inside, for a ticket or a
//! post-mortem. It opens without a daemon and without a network.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::Global;
use super::current;
use crate::http::page_files;
use crate::model::{Clock, Glob, SystemClock};
use crate::overview::{self, Chart, Span, Verdict};
use crate::query::number;
use crate::store::Reader;
use crate::wire::json::write_string;
use crate::wire::time;

/// `plimsoll snapshot`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll snapshot -o incident.html\n  \
    plimsoll snapshot --range 6h --to 2026-11-22T04:00:00Z --only 'cpu' --only 'disk*' -o night.html")]
pub struct Args {
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Length of the range up to --to
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    range: String,
    /// End of the range [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only these charts: a title, or a name from the page's address (load, disk:/home), with * and
    /// ?; may be repeated
    #[arg(long, value_name = "CHART")]
    only: Vec<String>,
}

/// The largest file. Half of it packs well, but mails count it all.
const LARGEST: usize = 2 << 20;
/// Buckets of a line: as many of these as fit into the file.
const POINTS: [u32; 6] = [720, 480, 300, 200, 120, 60];
const MOST_EVENTS: u32 = 200;

/// A replacement of the requests of the page: it answers with the numbers of this file for its
/// times, and with a sentence for others. Its time stands still.
const STAND_IN: &str = include_str!("snapshot.js");

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let now = SystemClock.wall_ms();
    let to = args.to.as_deref().map_or(Ok(now), |t| time::parse_when(t, now)).context("--to")?;
    let text = &args.range;
    let range = number::parse_duration(text)
        .ok()
        .filter(|range| *range > 0)
        .with_context(|| format!("--range: `{text}` is not a duration; write for example 24h"))?;
    let path = global.database()?;
    let reader = Reader::open(&path)?.load_head()?;
    let known = reader.series()?;
    let own = known.iter().find(|k| k.system_id == 1).or(known.first());
    let system = own.map(|k| k.system.clone()).context("the database has no samples yet")?;
    let mut charts = overview::charts(&known, &reader.graphs()?, &system);
    let chosen: Vec<Glob> = args.only.iter().map(|text| Glob::new(text)).collect();
    let wanted = |c: &Chart| chosen.iter().any(|g| g.matches(&c.id) || g.matches(&c.title));
    if !chosen.is_empty() {
        charts.retain(wanted);
        let names = args.only.join(", ");
        anyhow::ensure!(!charts.is_empty(), "no chart matches {names}; try --only '*disk*'");
    }
    let current = || current::troubles(&current::daemon(&path), now);
    let troubles = if to == now { current() } else { Vec::new() };
    let whose = match own {
        Some(known) if known.system_id != 1 => overview::Whose::Other(&system, None),
        _ => overview::Whose::Ours,
    };
    let verdict = overview::verdict(&reader, &charts, to, &troubles, whose)?;
    let line = charts.first().and_then(|c| c.lines.first()).cloned();
    let draw = |charts: &[Chart], points| -> anyhow::Result<Page> {
        let width = overview::width(&reader, line.as_ref(), to - range, to, points)?;
        page(&reader, &system, charts, &verdict, Span::new(to - range, to, width))
    };
    let all = charts.len();
    let mut points = POINTS.iter();
    let mut coarsest = POINTS[0];
    let mut shown = Page::TooLarge(all);
    while let (Page::TooLarge(_), Some(next)) = (&shown, points.next()) {
        coarsest = *next;
        shown = draw(&charts, coarsest)?;
    }
    // Charts of pushed values come after this machine's own, so the last ones are left out first.
    // If the user chose the charts, an error asks to choose again.
    while let (Page::TooLarge(fit), true) = (&shown, chosen.is_empty() && charts.len() > 1) {
        let left = if *fit > 1 { fit * 9 / 10 } else { charts.len() / 2 };
        charts.truncate(left.min(charts.len() - 1).max(1));
        shown = draw(&charts, coarsest)?;
    }
    let Page::Whole(text) = shown else {
        anyhow::bail!(
            "the file would be larger than 2 MiB; choose charts with --only, or a shorter --range"
        )
    };
    super::output::write(&args.output, &path, text.as_bytes())?;
    let out = all - charts.len();
    if out > 0 {
        let _unused = writeln!(
            std::io::stderr(),
            "The file takes 2 MiB at the most: the last {out} of {all} charts are not in it. To have \
             them, choose with --only, or take a shorter --range."
        );
    }
    Ok(())
}

/// A file or its data, or why there is none.
pub(super) enum Page {
    Whole(String),
    /// Larger than [`LARGEST`]; about this many of its charts would fit.
    TooLarge(usize),
}

/// What the page would ask for, as JSON.
pub(super) fn data(
    reader: &Reader,
    system: &str,
    charts: &[Chart],
    verdict: &Verdict,
    span: Span,
) -> anyhow::Result<Page> {
    let mut data = String::from("{");
    overview::write_span(&mut data, &span);
    data.push_str(r#","overview":"#);
    let forecasts = overview::disk_forecasts(reader, charts, span.to)?;
    let named = forecasts.iter().map(|(chart, forecast)| (&*chart.id, forecast));
    let hosts = [system.to_owned()];
    overview::write_overview(&mut data, system, &hosts, charts, span.to, verdict, named);
    data.push_str(r#","lines":{"#);
    for (at, chart) in charts.iter().enumerate() {
        if at > 0 {
            data.push(',');
        }
        write_string(&mut data, &chart.id);
        data.push(':');
        overview::write_lines(&mut data, reader, chart, &span)?;
        if data.len() > LARGEST {
            return Ok(Page::TooLarge(at));
        }
    }
    data.push_str(r#"},"events":"#);
    let events = reader.events(system, span.from, span.to, MOST_EVENTS)?;
    overview::write_events(&mut data, &events);
    data.push('}');
    Ok(Page::Whole(data))
}

/// The whole file.
fn page(
    reader: &Reader,
    system: &str,
    charts: &[Chart],
    verdict: &Verdict,
    span: Span,
) -> anyhow::Result<Page> {
    let data = match data(reader, system, charts, verdict, span)? {
        Page::Whole(data) => data,
        large => return Ok(large),
    };
    let file = |name| page_files::unpacked(name).context("a file of the page cannot be unpacked");
    let (script, style) = (file("page.js")?, file("page.css")?);
    let mut title = String::new();
    escape(&mut title, system);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · plimsoll snapshot</title>\n<style>{}</style>\n\
         <script type=\"application/json\" id=\"snapshot\">{}</script>\n\
         <script>{STAND_IN}</script>\n</head>\n\
         <body><div id=\"page\"></div><noscript>This file draws its charts with JavaScript.\
         </noscript>\n<script type=\"module\">{}</script>\n</body>\n</html>\n",
        style.replace("</", "<\\/"),
        inert(&data),
        of_the_file(&script),
    );
    Ok(if page.len() > LARGEST { Page::TooLarge(charts.len()) } else { Page::Whole(page) })
}

/// The page's script, in which the address and its history are the file's own: a file has no address
/// that could hold the view.
fn of_the_file(script: &str) -> String {
    script
        .replace("location.search", "snapshot.search")
        .replace("location.pathname", "snapshot.pathname")
        .replace("history.pushState", "snapshot.push")
        .replace("history.replaceState", "snapshot.replace")
        // In a string of a script this has the same meaning, and ends no script.
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
}

/// JSON in which nothing is HTML: no tag, no comment, no entity.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_ends_no_script() {
        let text = inert("{\"a\":\"</script><!-- &amp; \u{2028}\"}");
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["a"], "</script><!-- &amp; \u{2028}");
        assert!(!of_the_file("a='</script>'").contains("</script"));
    }
}
