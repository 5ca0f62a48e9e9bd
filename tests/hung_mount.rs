//! tests: a real FUSE mount that never answers STATFS, in a mount name space of its own. Alone in
//! its file: it counts the descriptors and threads of the process.

#![allow(unsafe_code, reason = "mount, umount and unshare have no safe wrapper")]

mod reading;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll::collect::{CollectError, Settings};
use reading::Reader;

const INIT: u32 = 26;
const STATFS: u32 = 17;

fn check(outcome: libc::c_int, what: &str) {
    assert_eq!(outcome, 0, "{what}: {}", io::Error::last_os_error());
}

fn text(path: impl AsRef<std::ffi::OsStr>) -> CString {
    CString::new(path.as_ref().as_encoded_bytes()).unwrap()
}

/// A file system that keeps its questions until it is told to answer.
struct Fuse {
    device: File,
    /// The numbers of the questions for figures that wait; `None` once answers are given at once.
    waiting: Mutex<Option<Vec<u64>>>,
}

impl Fuse {
    fn reply(&self, unique: u64, body: &[u8]) {
        let mut message = Vec::new();
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(0i32.to_ne_bytes());
        message.extend(unique.to_ne_bytes());
        message.extend(body);
        // The asker may be gone (ENOENT).
        let _ = (&self.device).write(&message);
    }

    /// 1,000 blocks of 512 bytes of which 250 are free.
    fn reply_statfs(&self, unique: u64) {
        let mut body = Vec::new();
        [1000u64, 250, 200, 10, 5].iter().for_each(|n| body.extend(n.to_ne_bytes()));
        // bsize is a mere hint; blocks are counted in frsize.
        [4096u32, 255, 512].iter().for_each(|n| body.extend(n.to_ne_bytes()));
        body.extend([0; 28]);
        self.reply(unique, &body);
    }

    /// Until the device is unmounted.
    fn serve(&self) {
        let mut buffer = vec![0; 1 << 17];
        while let Ok(length) = (&self.device).read(&mut buffer) {
            let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap());
            let unique = u64::from_ne_bytes(buffer[8..16].try_into().unwrap());
            assert!(length >= 40);
            match word(4) {
                INIT => {
                    let mut body = Vec::new();
                    [7u32, 31, 65536, 0].iter().for_each(|n| body.extend(n.to_ne_bytes()));
                    body.resize(64, 0);
                    self.reply(unique, &body);
                }
                STATFS => match &mut *self.waiting.lock().unwrap() {
                    Some(waiting) => waiting.push(unique),
                    None => self.reply_statfs(unique),
                },
                _ => {}
            }
        }
    }

    fn relent(&self) {
        for unique in self.waiting.lock().unwrap().take().into_iter().flatten() {
            self.reply_statfs(unique);
        }
    }
}

/// What the mount table of this thread, not of process 1, and the rest of /proc look like.
fn private_proc(dir: &Path) {
    symlink("/proc/thread-self", dir.join("self")).unwrap();
    for name in ["loadavg", "meminfo", "stat", "diskstats", "vmstat", "pressure", "sys", "net"] {
        symlink(Path::new("/proc").join(name), dir.join(name)).unwrap();
    }
}

fn mount(fuse: &Fuse, point: &Path) {
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.device.as_raw_fd());
    let (source, kind, data) = (text("stubborn"), text("fuse"), text(data));
    // SAFETY: all strings end with NUL and outlive the calls.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS), "unshare");
        let root = text("/");
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(
            libc::mount(
                std::ptr::null(),
                root.as_ptr(),
                std::ptr::null(),
                private,
                std::ptr::null(),
            ),
            "making mounts private",
        );
        let target = text(point);
        let data = data.as_ptr().cast();
        check(libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, data), "mount");
    }
}

/// Takes the mount away with all questions that wait, also when the test fails: otherwise the
/// thread that serves it would never end.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // SAFETY: the string ends with NUL.
        unsafe { libc::umount2(text(self.0).as_ptr(), libc::MNT_DETACH | libc::MNT_FORCE) };
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|name| matches!(name, Ok(name) if name.trim() == "statvfs")).count()
}

#[test]
fn a_thousand_beats_beside_a_mount_that_never_answers() {
    // SAFETY: takes no arguments.
    let root = unsafe { libc::geteuid() } == 0;
    assert!(root && Path::new("/dev/fuse").exists(), "needs root and /dev/fuse (modprobe fuse)");
    let dir = tempfile::tempdir().unwrap();
    let (point, proc) = (dir.path().join("stubborn"), dir.path().join("proc"));
    std::fs::create_dir(&point).unwrap();
    std::fs::create_dir(&proc).unwrap();
    private_proc(&proc);
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
    let fuse = Fuse { device, waiting: Mutex::new(Some(Vec::new())) };
    let key = format!("disk_{}", point.display());
    let error = format!(
        "node_filesystem_device_error{{device=\"stubborn\",fstype=\"fuse\",mountpoint=\"{}\"}}",
        point.display()
    );

    std::thread::scope(|scope| {
        mount(&fuse, &point);
        // Only now: reading the device of no mount is an error.
        scope.spawn(|| fuse.serve());
        let mounted = Mounted(&point);
        let settings = Settings { proc, ..Settings::default() };
        let mut reader = Reader::new(&settings);
        let mut beat = || {
            let mut values = std::collections::BTreeMap::new();
            let mut stuck = false;
            for (name, samples, result) in reader.beat() {
                match result {
                    Ok(()) | Err(CollectError::Absent) => {}
                    Err(CollectError::Stuck(message)) if name == "filesystem" => {
                        assert!(message.contains("stubborn"), "{message}");
                        stuck = true;
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
                values.extend(samples);
            }
            (stuck, values)
        };

        let (stuck, first) = beat();
        assert!(stuck && first[&error] == 1.0 && !first.contains_key(&key));
        let (held, started) = (descriptors(), Instant::now());
        for _ in 0..1000 {
            let (stuck, values) = beat();
            assert!(stuck && values[&error] == 1.0 && !values.contains_key(&key));
            assert!(values.len() >= first.len(), "the others miss none");
            assert!(values.contains_key("cpu") && values.contains_key("disk_/"));
        }
        let spent = started.elapsed();
        assert!(spent < Duration::from_secs(20), "a thousand beats took {spent:?}");
        assert_eq!((descriptors(), workers()), (held, 1));
        assert_eq!(fuse.waiting.lock().unwrap().as_ref().map(Vec::len), Some(1));

        fuse.relent();
        let relented = Instant::now();
        let values = loop {
            let (stuck, values) = beat();
            if !stuck {
                break values;
            }
            // Two beats of half a second.
            assert!(relented.elapsed() < Duration::from_secs(1), "no recovery");
        };
        assert_eq!((values[&key], values[&error]), (75.0, 0.0));
        let size = values.iter().find(|(k, _)| k.contains("size") && k.contains("stubborn"));
        assert_eq!(size.map(|(_, v)| *v), Some(512_000.0));
        assert_eq!((descriptors(), workers()), (held, 1));

        drop(mounted);
        let (stuck, values) = beat();
        assert!(!stuck && !values.contains_key(&key), "the table is followed");
    });
}
