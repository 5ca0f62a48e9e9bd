//! daemon: log lines: for a person on a terminal, with priority prefixes under journald
//! (sd-daemon(3)), plain elsewhere. Always on standard error.

use std::fmt;
use std::io::IsTerminal;

use crate::model::{Clock, SystemClock};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Terminal,
    Journal,
    Plain,
}

/// Writes log lines from `level` up to standard error.
pub fn start(level: Level) {
    let style = if journal_reads_us() {
        Style::Journal
    } else if std::io::stderr().is_terminal() {
        Style::Terminal
    } else {
        Style::Plain
    };
    // Fails only when a subscriber is there already, as in tests.
    let _unused = tracing::subscriber::set_global_default(
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            // Otherwise a line that cannot be written (the pipe's reader has gone, the disk with
            // the log is full) is complained of by eprintln, which panics.
            .log_internal_errors(false)
            .event_format(Lines(style))
            .finish(),
    );
}

/// JOURNAL_STREAM names the journal's socket by device and inode; it is inherited by children whose
/// standard error goes elsewhere, so it is compared.
fn journal_reads_us() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    match rustix::fs::fstat(std::io::stderr()) {
        Ok(stat) => named == format!("{}:{}", stat.st_dev, stat.st_ino),
        Err(_) => false,
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(SystemClock.wall_ms()).unwrap_or_default()
}

struct Lines(Style);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self.0 {
            Style::Journal => {
                let priority = match level {
                    Level::ERROR => 3,
                    Level::WARN => 4,
                    Level::INFO => 6,
                    _ => 7,
                };
                write!(out, "<{priority}>")?;
            }
            Style::Terminal => {
                let now = now().to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S");
                let (word, colour) = match level {
                    Level::ERROR => ("error: ", "31"),
                    Level::WARN => ("warning: ", "33"),
                    Level::INFO => ("", "0"),
                    _ => ("debug: ", "2"),
                };
                write!(out, "\x1b[2m{now}\x1b[0m \x1b[{colour}m{word}\x1b[0m")?;
            }
            Style::Plain => {
                let now = now().strftime("%Y-%m-%dT%H:%M:%SZ");
                write!(out, "{now} {} ", level.as_str().to_ascii_lowercase())?;
            }
        }
        ctx.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
