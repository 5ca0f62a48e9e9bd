//! daemon: a file for each plugin that has counters, beside the database, in which stands where they
//! stood. Written when one has wrapped, and at the end; a kill in between costs nothing else.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::handover::state_folder;
use crate::collect::regular;

/// More was not written by us.
const MOST: u64 = 4 << 20;

/// The folder of these files.
#[derive(Debug, Clone)]
pub struct Stand {
    folder: PathBuf,
    /// The boot id with which the counters end.
    boot: String,
}

impl Stand {
    /// For counters of this machine: their values from before its start are useless. `proc` is
    /// `/proc`.
    pub fn here(database: &Path, proc: &Path) -> Self {
        let boot = regular::read_text(&proc.join("sys/kernel/random/boot_id"), 4_096);
        Self { boot: boot.unwrap_or_default().trim().to_owned(), ..Self::elsewhere(database) }
    }

    /// For counters of other machines, whose starts are unknown here.
    pub fn elsewhere(database: &Path) -> Self {
        Self { folder: state_folder(database).join(".counters"), boot: "-".into() }
    }

    /// The saved state of a plugin; `None` if there is none to continue from.
    pub fn read(&self, name: &str) -> Option<String> {
        let text = regular::read_text(&self.folder.join(name), MOST).ok()?;
        let (boot, rest) = text.split_once('\n')?;
        (boot == self.boot).then(|| rest.to_owned())
    }

    /// Puts what stands in `text` in its place; nothing if that is nothing.
    pub fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)?;
        let (path, fresh) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let mut file = regular::create(&fresh, 0o640)?;
        write!(file, "{}\n{text}", self.boot)?;
        std::fs::rename(fresh, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_a_start_of_the_machine_is_of_no_use() {
        let dir = tempfile::tempdir().expect("a folder");
        let boots = dir.path().join("sys/kernel/random");
        std::fs::create_dir_all(&boots).expect("made");
        let start = |boot: &str| {
            std::fs::write(boots.join("boot_id"), boot).expect("written");
            Stand::here(&dir.path().join("metrics.sqlite"), dir.path())
        };
        let first = start("one\n");
        assert_eq!(first.read("if_eth0"), None);
        first.write("if_eth0", "").expect("nothing to do");
        first.write("if_eth0", "a b 1 2 3\n").expect("written");
        assert_eq!(start("one\n").read("if_eth0").as_deref(), Some("a b 1 2 3\n"));
        assert_eq!(start("two\n").read("if_eth0"), None);
    }
}
