//! collect: a file of /proc or /sys that is opened once and read again and again. It knows nothing
//! about the contents.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;

use super::scan::{Odd, numbered};
use super::{CollectError, regular};
use crate::model::Recorder;

/// Holds most files of /proc; the others grow it.
const FIRST_CAPACITY: usize = 1024;
/// The longest file of /proc is some megabytes long, on a machine with thousands of CPUs or mounts.
const LONGEST: usize = 64 << 20;

/// A kept descriptor and its buffer. Reading allocates nothing once the buffer has grown to the
/// file's size, and costs a sixth of opening the file again.
#[derive(Debug)]
pub struct KeptFile {
    path: PathBuf,
    required: bool,
    open: Option<Open>,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    on_procfs: bool,
}

impl KeptFile {
    /// A file that every Linux has; it is an error if it is missing.
    pub fn required(path: PathBuf) -> Self {
        Self { path, required: true, open: None, text: Vec::new() }
    }

    /// A file that a machine may lack: [`CollectError::Absent`] then.
    pub fn optional(path: PathBuf) -> Self {
        Self { required: false, ..Self::required(path) }
    }

    /// The current contents.
    pub fn read(&mut self) -> Result<&[u8], CollectError> {
        match self.fill() {
            Ok(()) => Ok(&self.text),
            // A kernel with PSI compiled in but switched off answers EOPNOTSUPP.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::OPNOTSUPP)
                if !self.required =>
            {
                Err(CollectError::Absent)
            }
            Err(errno) => {
                Err(CollectError::Read { path: self.path.clone(), source: self.explain(errno) })
            }
        }
    }

    /// The error of the kernel, or the kind of file that lies there instead.
    fn explain(&self, errno: Errno) -> std::io::Error {
        match std::fs::metadata(&self.path).map(|meta| regular::check(meta.file_type())) {
            Ok(Err(other)) => other,
            _ if errno == Errno::FBIG => regular::too_large(LONGEST as u64),
            _ => errno.into(),
        }
    }

    /// Reads it and has it parsed; an oddity becomes an error that names the file.
    pub fn parse<T>(
        &mut self,
        parser: impl FnOnce(&[u8]) -> Result<T, Odd>,
    ) -> Result<T, CollectError> {
        parser(self.read()?).map_err(|odd| self.odd(odd))
    }

    /// Reads the file and calls `one` for each line; it returns whether the line is one of the
    /// wanted ones. A line that is not understood is left out and reported to `out`. The reading
    /// fails only if no wanted line is left.
    pub fn each_line(
        &mut self,
        out: &mut Recorder,
        mut one: impl FnMut(&[u8], &mut Recorder) -> Result<bool, Odd>,
    ) -> Result<(), CollectError> {
        self.read()?;
        let (mut first, mut understood) = (None, false);
        for (number, line) in numbered(&self.text) {
            match one(line, out) {
                Ok(wanted) => understood |= wanted,
                Err(odd) => {
                    self.tell(out, number, &odd);
                    first.get_or_insert(odd);
                }
            }
        }
        match first {
            Some(odd) if !understood => Err(self.odd(odd)),
            _ => Ok(()),
        }
    }

    /// Tells of a line that was not understood and is left out; 0: it is the whole file.
    pub fn tell(&self, out: &mut Recorder, line: usize, odd: &Odd) {
        let mut mark = DefaultHasher::new();
        (&self.path, line).hash(&mut mark);
        out.odd(mark.finish(), || left_out(&self.path, line, odd));
    }

    /// The error for something in this file that was not understood.
    pub fn odd(&self, odd: Odd) -> CollectError {
        CollectError::Parse { path: self.path.clone(), what: odd.to_string() }
    }

    /// Whether the kernel reports a change since the last call (mount tables do that, by POLLPRI).
    /// `None` if the file is not open yet, or is a plain file, for which this is unknown.
    pub fn signalled(&self) -> Option<bool> {
        let open = self.open.as_ref().filter(|open| open.on_procfs)?;
        let mut fds = [PollFd::new(&open.fd, PollFlags::PRI)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
        Some(fds[0].revents().intersects(PollFlags::PRI | PollFlags::ERR))
    }

    fn fill(&mut self) -> Result<(), Errno> {
        if let Some(open) = &self.open
            && read_whole(&open.fd, &mut self.text).is_ok()
        {
            return Ok(());
        }
        // The file was never opened, or its subject is gone (ENODEV, ESTALE, a driver unloaded and
        // loaded again): the path may lead to a new one.
        self.open = None;
        // Opening never waits for the writer of a named pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(&self.path, flags, Mode::empty())?;
        if !FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode).is_file() {
            return Err(Errno::INVAL);
        }
        let on_procfs = rustix::fs::fstatfs(&fd).is_ok_and(|f| f.f_type == PROC_SUPER_MAGIC);
        self.text.reserve(FIRST_CAPACITY);
        read_whole(&fd, &mut self.text)?;
        self.open = Some(Open { fd, on_procfs });
        Ok(())
    }
}

fn left_out(path: &Path, line: usize, odd: &Odd) -> String {
    let path = path.display();
    match line {
        0 => format!("{path}: {odd}; it is left out"),
        line => format!("{path}, line {line}: {odd}; that is left out, the other lines count"),
    }
}

/// Reads from the start to the end. Lists in /proc come in pieces of a page, other files as a
/// whole. A file that fills the buffer is read again into a larger one, because its two halves
/// would be of different moments.
fn read_whole(fd: &OwnedFd, text: &mut Vec<u8>) -> Result<(), Errno> {
    text.clear();
    loop {
        if text.len() > LONGEST {
            return Err(Errno::FBIG);
        }
        if text.len() == text.capacity() {
            text.reserve(2 * text.len().max(FIRST_CAPACITY));
            text.clear();
        }
        let at = text.len() as u64;
        match rustix::io::pread(fd, spare_capacity(text), at) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_and_a_shrinking_file_are_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut kept = KeptFile::optional(path.clone());
        assert!(matches!(kept.read(), Err(CollectError::Absent)));
        for size in [3, FIRST_CAPACITY, FIRST_CAPACITY - 1, 100_000, 0, 5] {
            std::fs::write(&path, vec![b'x'; size]).unwrap();
            assert_eq!(kept.read().unwrap().len(), size);
        }
        assert_eq!(kept.signalled(), None);
    }

    #[test]
    fn what_is_required_or_unreadable_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = KeptFile::required(dir.path().join("loadavg"));
        let message = missing.read().unwrap_err().to_string();
        assert!(message.contains("loadavg: No such file"), "{message}");
        let mut folder = KeptFile::optional(dir.path().to_owned());
        assert!(matches!(folder.read(), Err(CollectError::Read { .. })));
    }

    #[test]
    fn what_is_no_file_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("os-release");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
        let message = KeptFile::optional(path).read().unwrap_err().to_string();
        assert!(message.ends_with("os-release: it is a named pipe, not a file"), "{message}");
    }

    #[test]
    fn an_odd_line_costs_itself_and_is_told_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut out = Recorder::new(Default::default(), "node", Default::default());
        let mut read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut good = Vec::new();
            let result = KeptFile::optional(path.clone()).each_line(&mut out, |line, _| {
                good.push(super::super::scan::number(line).ok_or_else(|| Odd::new("no n", line))?);
                Ok(true)
            });
            (good, result.err().map(|e| e.to_string()), out.take_told(), out.take_odd())
        };
        let (good, error, told, odd) = read("1\n\nx\n3\n");
        assert_eq!((good, error, odd), (vec![1.0, 3.0], None, 1));
        assert!(told[0].contains("f, line 3: no n in \"x\"; that is left out"), "{told:?}");
        // A repeated fault at the same place is not reported again.
        let (_, _, told, odd) = read("1\n\ny\n3\n");
        assert_eq!((told.len(), odd), (0, 1));
        let (good, error, _, odd) = read("x\ny\n");
        assert!(good.is_empty() && error.unwrap().ends_with("f: no n in \"x\"") && odd == 2);
        assert_eq!(read("").1, None);
    }

    #[test]
    fn a_descriptor_that_died_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "new").unwrap();
        let mut kept = KeptFile::optional(path);
        // Reading a folder fails as reading a vanished device does.
        let fd = rustix::fs::open(dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        kept.open = Some(Open { fd, on_procfs: false });
        assert_eq!(kept.read().unwrap(), b"new");
    }

    #[test]
    fn a_mount_table_can_say_whether_it_changed() {
        let mut table = KeptFile::required("/proc/self/mountinfo".into());
        assert!(!table.read().unwrap().is_empty());
        assert!(table.signalled().is_some());
    }
}
