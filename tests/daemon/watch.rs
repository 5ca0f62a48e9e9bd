//! `plimsoll watch` in a real terminal, tmux's: what is seen at each size, what keys do, and that the
//! terminal is as it was, however it ends.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;
use crate::terminal::Terminal;

impl Terminal {
    /// Starts it after a line that the screen must still have when it has ended.
    fn watch(&self, before: &str, more: &str) {
        self.line(&format!("stty -g > {}", self.folder.join("before").display()));
        self.line("echo what was here before");
        let (db, config) = (self.folder.db(), self.folder.join("plimsoll.toml"));
        self.line(&format!(
            "{before} {PLIMSOLL} watch {more} --db {} --config {}",
            db.display(),
            config.display()
        ));
        self.shows("the first view", |s| s.contains("quit") && s.contains("memory"));
    }

    /// It has ended, and everything is as it was: the screen, the cursor, and the line's modes.
    fn is_as_before(&self, what: &str) -> String {
        let screen =
            self.shows(what, |s| s.contains("what was here before") && s.trim_end().ends_with('$'));
        assert!(!screen.contains("memory  "), "{screen}");
        let flags = self.tmux(&[
            "display-message",
            "-p",
            "-t",
            "t",
            "#{cursor_flag} #{alternate_on} #{mouse_any_flag}",
        ]);
        assert_eq!(flags.trim(), "1 0 0", "{what}: cursor, alternate screen, mouse");
        self.line(&format!("stty -g > {}", self.folder.join("after").display()));
        eventually("the modes", PATIENCE, || {
            let read = |name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            let (before, after) = (read("before"), read("after"));
            if !after.is_empty() && before == after {
                Ok(())
            } else {
                Err(format!("{before} {after}"))
            }
        });
        std::fs::remove_file(self.folder.join("after")).expect("it was made");
        screen
    }

    /// The process that is watching.
    fn pid(&self) -> Pid {
        let shell = self.tmux(&["display-message", "-p", "-t", "t", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        eventually("its process", PATIENCE, || {
            let text = std::fs::read_to_string(&children).map_err(|e| e.to_string())?;
            let pid = text.split_whitespace().next().and_then(|p| p.parse().ok());
            pid.and_then(Pid::from_raw).ok_or(text)
        })
    }
}

/// A terminal with a daemon that has taken its first readings.
fn collecting(width: u32, height: u32) -> (Terminal, Daemon) {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    (Terminal::new(folder, width, height), daemon)
}

fn fits(screen: &str, width: usize) {
    for line in screen.lines() {
        assert!(line.chars().count() <= width, "{line:?} in\n{screen}");
    }
}

#[test]
fn it_fits_terminals_of_every_size_and_leaves_them_as_they_were() {
    let (terminal, daemon) = collecting(80, 24);
    terminal.watch("", "--range 5m");
    let screen = terminal.shows("a chart", |s| s.contains("Load  1 min") && s.contains('┤'));
    fits(&screen, 80);
    assert!(screen.lines().next().expect("a line").contains(" 1y"), "{screen}");
    for (width, height) in [(200, 60), (120, 40), (60, 20)] {
        terminal.resize(width, height);
        let screen = terminal.shows("the charts at this size", |s| {
            s.lines().count() >= height as usize - 1
                && s.lines().last().is_some_and(|l| l.contains("quit"))
                && s.contains("Load  1 min")
        });
        fits(&screen, width as usize);
        // As many charts side by side as there is room for.
        let row = screen.lines().find(|l| l.contains("Load  1 min")).expect("a row");
        assert_eq!(row.contains("Memory  used"), width >= 120, "{row}");
    }
    terminal.resize(50, 10);
    terminal.shows("a sentence", |s| s.contains("needs 60 columns and 12 rows"));
    terminal.resize(80, 24);
    terminal.shows("the view again", |s| s.contains("Load  1 min"));
    terminal.key("q");
    terminal.is_as_before("after q");
    daemon.stop();
}

#[test]
fn keys_choose_what_is_shown() {
    let (terminal, daemon) = collecting(100, 30);
    terminal.watch("", "");
    let newest = |screen: &str| {
        let line = screen.lines().find(|l| l.contains("last reading")).unwrap_or_default();
        line.to_owned()
    };
    let first = newest(&terminal.screen());
    terminal.shows("newer readings without a key", |s| newest(s) != first);
    for range in ["7", "5", "1", "Right", "Left"] {
        terminal.key(range);
    }
    terminal.key("End");
    terminal.shows("the end of the charts", |s| !s.contains("Load  1 min") && s.contains("quit"));
    terminal.key("Home");
    terminal.shows("the beginning", |s| s.contains("Load  1 min"));
    terminal.key("/");
    terminal.line("memtotal");
    let screen = terminal.shows("the series alone", |s| s.contains("last") && s.contains("mean"));
    assert!(screen.contains("node_memory_MemTotal_bytes") && screen.contains("GiB"), "{screen}");
    terminal.key("Escape");
    terminal.shows("the first view", |s| s.contains("Load  1 min"));
    terminal.key("/");
    terminal.tmux(&["send-keys", "-t", "t", "-l", "no such thing"]);
    terminal.shows("nothing found", |s| s.contains("no series has this"));
    terminal.key("Escape");
    // Two that arrive together are one key to a terminal.
    terminal.shows("no search any more", |s| !s.contains("no series has this"));
    // From the first view there is nowhere to go back to, and it does not quit.
    terminal.key("End");
    terminal.shows("the end of the charts", |s| !s.contains("Load  1 min") && s.contains("quit"));
    terminal.key("Escape");
    terminal.shows("the beginning", |s| s.contains("Load  1 min"));
    terminal.key("?");
    let keys = terminal.shows("the keys", |s| s.contains("search among all series"));
    for key in ["Esc", "PgUp", "1 to 8", "q "] {
        assert!(keys.contains(key), "{key}: {keys}");
    }
    terminal.key("Escape");
    terminal.shows("the first view again", |s| s.contains("Load  1 min"));
    terminal.key("q");
    terminal.is_as_before("after q");
    daemon.stop();
}

#[test]
fn it_shows_a_file_that_nobody_writes() {
    let folder = Folder::new();
    folder.filled();
    let terminal = Terminal::new(folder, 80, 24);
    terminal.watch("", "");
    terminal.shows("that", |s| s.contains("not collecting"));
    terminal.key("C-c");
    terminal.is_as_before("after Ctrl-C");
}

#[test]
fn a_signal_and_a_panic_give_the_terminal_back() {
    let (terminal, daemon) = collecting(80, 24);
    terminal.watch("", "");
    kill_process(terminal.pid(), Signal::TERM).expect("it runs");
    terminal.is_as_before("after SIGTERM");
    terminal.watch("PLIMSOLL_TEST_PANIC=1", "");
    let screen = terminal.is_as_before("after a panic");
    assert!(screen.contains("planted by a test"), "the panic can be read: {screen}");
    daemon.stop();
}

#[test]
fn it_ends_with_its_terminal() {
    let (terminal, daemon) = collecting(80, 24);
    terminal.watch("", "");
    let process = terminal.pid().as_raw_nonzero();
    terminal.tmux(&["kill-server"]);
    eventually("the end of watch", PATIENCE, || {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
        state.map_or(Ok(()), |state| if state.contains(") Z ") { Ok(()) } else { Err(state) })
    });
    daemon.stop();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let folder = Folder::new();
    folder.filled();
    let said = folder.ask(&["watch"]).refused();
    assert!(said.contains("plimsoll status"), "{said}");
    let said = folder.ask(&["watch", "--range", "2h"]).refused();
    assert!(said.contains("5m, 1h, 6h"), "{said}");
}
