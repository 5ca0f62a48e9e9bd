//! cli: `plimsoll watch`: the first view in the terminal, kept up to date. Here are the terminal,
//! its keys and its end; `feed` has the data, `view` the appearance.

mod feed;
mod view;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Global, screen};
use crate::draw;
use crate::model::{Clock, SystemClock};
use crate::overview::RANGES;
use feed::Feed;

/// `plimsoll watch`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Range of the charts at the start: 5m, 1h, 6h, 24h, 7d, 30d, 1y or all
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    range: String,
}

/// The interval of looking for new rows.
const TICK: Duration = Duration::from_secs(1);
/// The longest delay of a signal.
const WINK: Duration = Duration::from_millis(250);

/// The choices at the keyboard.
#[derive(Debug, Default)]
struct Choice {
    /// Rows of the first view that have been scrolled past.
    scroll: usize,
    /// The text of the current search.
    search: Option<String>,
    /// Which of the series found is chosen.
    found: usize,
    /// The series that fills the screen.
    open: Option<(String, Result<draw::Chart, String>)>,
    /// Whether the keys are shown.
    help: bool,
    /// The error of the file.
    trouble: Option<String>,
}

/// The effect of a key.
#[derive(Debug, PartialEq, Eq)]
enum Does {
    Nothing,
    Redraw,
    Range(usize),
    Open(String),
    Quit,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let named = RANGES.iter().position(|range| range.name == args.range);
    let Some(range) = named else {
        let all: Vec<&str> = RANGES.iter().map(|range| range.name).collect();
        anyhow::bail!("--range {}: use one of {}", args.range, all.join(", "));
    };
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        anyhow::bail!("watch needs a terminal; use 'plimsoll status' to print the state once");
    }
    let path = global.database()?;
    // Errors before the first picture are printed on the usual screen.
    let feed = Feed::open(&path, range, SystemClock.wall_ms())?;
    let over = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&over))?;
    }
    let screen = Screen::take()?;
    let done = show(feed, &path, &over);
    drop(screen);
    done
}

/// The terminal while it is ours; given back as it was when this goes, however it goes.
struct Screen;

impl Screen {
    fn take() -> anyhow::Result<Self> {
        // A panic tells about itself on the screen where it can be read.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        OURS.store(true, Ordering::Relaxed);
        let screen = Self;
        enable_raw_mode()?;
        execute!(std::io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether the terminal is ours. Given back twice, its cursor would jump to where it was before.
static OURS: AtomicBool = AtomicBool::new(false);

fn give_back() {
    if !OURS.swap(false, Ordering::Relaxed) {
        return;
    }
    // The terminal may be gone already.
    let _gone = disable_raw_mode();
    let _gone = execute!(std::io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _gone = std::io::stdout().flush();
}

fn show(mut feed: Feed, path: &Path, over: &AtomicBool) -> anyhow::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
    let mut choice = Choice::default();
    let look = view::Look { unicode: screen::is_unicode(), colours: screen::has_colours() };
    let zone = jiff::tz::TimeZone::system();
    let mut ticked = Instant::now();
    let mut redraw = true;
    while !over.load(Ordering::Relaxed) {
        if redraw {
            terminal.draw(|frame| view::draw(frame, &feed, &mut choice, look, &zone))?;
            redraw = false;
        }
        if !keys_within(WINK.min(TICK.saturating_sub(ticked.elapsed()))) {
            return Ok(());
        }
        if event::poll(Duration::ZERO)? {
            let does = match event::read()? {
                Event::Key(key) => press(key, &mut choice, &feed),
                Event::Resize(..) => Does::Redraw,
                _ => Does::Nothing,
            };
            let now = SystemClock.wall_ms();
            match does {
                Does::Quit => return Ok(()),
                Does::Nothing => continue,
                Does::Redraw => {}
                Does::Range(range) => {
                    feed.set_range(range, now)?;
                    choice.open = choice.open.take().map(|(key, _)| opened(&feed, key, now));
                }
                Does::Open(key) => choice.open = Some(opened(&feed, key, now)),
            }
            redraw = true;
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            let now = SystemClock.wall_ms();
            let trouble = match feed.tick(now) {
                Ok(changed) => {
                    redraw |= changed;
                    None
                }
                // The file may be another one by now.
                Err(e) => match Feed::open(path, feed.range, now) {
                    Ok(other) => {
                        feed = other;
                        redraw = true;
                        None
                    }
                    Err(_) => Some(format!("{e:#}")),
                },
            };
            redraw |= trouble != choice.trouble;
            choice.trouble = trouble;
            if redraw && let Some((key, _)) = choice.open.take() {
                choice.open = Some(opened(&feed, key, now));
            }
            #[cfg(debug_assertions)]
            planted();
        }
    }
    Ok(())
}

/// Waits for a key, so long at most. False: the terminal has gone. The library's own wait would then
/// read nothing for ever, at the full speed of a core, and hear no signal.
fn keys_within(time: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = std::io::stdin();
    let mut keys = [PollFd::new(&stdin, PollFlags::IN)];
    let time = Timespec { tv_sec: 0, tv_nsec: time.as_nanos().min(999_999_999) as _ };
    // A signal may wake it early; the size of the window is told by one.
    let _woken = poll(&mut keys, Some(&time));
    !keys[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

fn opened(feed: &Feed, key: String, now: i64) -> (String, Result<draw::Chart, String>) {
    let chart = feed.one(&key, now).map_err(|e| e.to_string());
    (key, chart)
}

/// The tests' way to see that a panic gives the terminal back; not in the program that is shipped.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "that is what it is for")]
fn planted() {
    if std::env::var_os("PLIMSOLL_TEST_PANIC").is_some() {
        panic!("planted by a test");
    }
}

fn press(key: KeyEvent, choice: &mut Choice, feed: &Feed) -> Does {
    if key.kind == KeyEventKind::Release {
        return Does::Nothing;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && matches!(key.code, KeyCode::Char('c')) {
        return Does::Quit;
    }
    if choice.search.is_some() {
        return press_in_search(key, choice, feed);
    }
    match key.code {
        KeyCode::Char('q') => Does::Quit,
        KeyCode::Char('?') => {
            choice.help = !choice.help;
            Does::Redraw
        }
        // Back by one step; it never quits.
        KeyCode::Esc if choice.help => {
            choice.help = false;
            Does::Redraw
        }
        KeyCode::Esc if choice.open.is_some() => {
            choice.open = None;
            Does::Redraw
        }
        KeyCode::Esc => scroll(choice, isize::MIN),
        KeyCode::Char('/') => {
            choice.help = false;
            choice.search = Some(String::new());
            choice.found = 0;
            Does::Redraw
        }
        KeyCode::Left | KeyCode::Char('h' | '-') => Does::Range(feed.range.saturating_sub(1)),
        KeyCode::Right | KeyCode::Char('l' | '+') => {
            Does::Range((feed.range + 1).min(RANGES.len() - 1))
        }
        KeyCode::Char(c @ '1'..='8') => Does::Range(c as usize - '1' as usize),
        KeyCode::Up | KeyCode::Char('k') => scroll(choice, -1),
        KeyCode::Down | KeyCode::Char('j') => scroll(choice, 1),
        KeyCode::PageUp => scroll(choice, -10),
        KeyCode::PageDown | KeyCode::Char(' ') => scroll(choice, 10),
        KeyCode::Home | KeyCode::Char('g') => scroll(choice, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => scroll(choice, isize::MAX),
        _ => Does::Nothing,
    }
}

/// Scrolls; the view takes back what exceeds the number of rows.
fn scroll(choice: &mut Choice, rows: isize) -> Does {
    choice.scroll = choice.scroll.saturating_add_signed(rows);
    Does::Redraw
}

fn press_in_search(key: KeyEvent, choice: &mut Choice, feed: &Feed) -> Does {
    let Some(text) = &mut choice.search else { return Does::Nothing };
    match key.code {
        KeyCode::Esc => choice.search = None,
        KeyCode::Enter => {
            let found = view::found(feed, text);
            let Some(chosen) = found.get(choice.found) else { return Does::Nothing };
            let key = chosen.series.key.clone();
            choice.search = None;
            return Does::Open(key);
        }
        KeyCode::Backspace => {
            text.pop();
            choice.found = 0;
        }
        KeyCode::Up => choice.found = choice.found.saturating_sub(1),
        KeyCode::Down => choice.found = choice.found.saturating_add(1),
        KeyCode::PageUp => choice.found = choice.found.saturating_sub(10),
        KeyCode::PageDown => choice.found = choice.found.saturating_add(10),
        KeyCode::Char(c) if !c.is_control() && text.chars().count() < 200 => {
            text.push(c);
            choice.found = 0;
        }
        _ => return Does::Nothing,
    }
    Does::Redraw
}

/// A chart of the first view as `watch` draws it at this time (ms since 1970 UTC), over an hour.
#[cfg(test)]
pub(super) fn drawn(path: &Path, id: &str, now: i64) -> draw::Chart {
    let hour = RANGES.iter().position(|range| range.name == "1h").expect("a range");
    let feed = Feed::open(path, hour, now).expect("reads");
    feed.drawn_of(id).expect("a chart")
}
