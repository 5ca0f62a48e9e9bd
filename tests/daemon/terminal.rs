//! A real terminal, tmux's: what is typed, and what is seen.

use std::process::Command;

use crate::support::*;

/// A terminal of one's own with a shell in it.
pub struct Terminal {
    socket: String,
    pub folder: Folder,
}

impl Terminal {
    pub fn new(folder: Folder, width: u32, height: u32) -> Self {
        // A server of its own: it goes with the test.
        let socket = folder.join("tmux").to_str().expect("UTF-8").to_owned();
        let terminal = Self { socket, folder };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env LC_ALL=C.UTF-8 RUST_BACKTRACE=0 PS1='$ ' sh";
        terminal.tmux(&["new-session", "-d", "-s", "t", "-x", &width, "-y", &height, shell]);
        terminal.tmux(&["set-option", "-g", "status", "off"]);
        terminal.shows("a prompt", |screen| screen.starts_with('$'));
        terminal
    }

    fn command(&self) -> Command {
        let mut command = tool("tmux", "tmux");
        command.args(["-u", "-f", "/dev/null", "-S", &self.socket]);
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        command
    }

    pub fn tmux(&self, words: &[&str]) -> String {
        run(self.command().args(words)).well()
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        // One that ends a word would end tmux's own command.
        let text = text.strip_suffix(';').map_or(text.to_owned(), |text| format!("{text}\\;"));
        self.tmux(&["send-keys", "-t", "t", "-l", &text]);
        self.key("Enter");
    }

    pub fn key(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "t", key]);
    }

    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "t"])
    }

    /// Waits for the screen to be so, and returns it.
    pub fn shows(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        eventually(what, PATIENCE, || {
            let screen = self.screen();
            if is(&screen) { Ok(screen) } else { Err(screen) }
        })
    }

    pub fn resize(&self, width: u32, height: u32) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-t", "t", "-x", &width, "-y", &height]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _unused = run(self.command().arg("kill-server"));
    }
}
