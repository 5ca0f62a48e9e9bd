//! tests: a file system that keeps its questions until it is told to answer, mounted in a mount name
//! space of the calling thread. It takes root and /dev/fuse.
#![allow(unsafe_code, reason = "mount, umount and unshare have no safe wrapper")]
#![allow(dead_code, reason = "each test crate uses its part")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Mutex;

const INIT: u32 = 26;
const STATFS: u32 = 17;
/// These want no answer.
const FORGET: u32 = 2;
const BATCH_FORGET: u32 = 42;
const INTERRUPT: u32 = 36;

fn check(outcome: libc::c_int, what: &str) {
    assert_eq!(outcome, 0, "{what}: {}", io::Error::last_os_error());
}

fn text(path: impl AsRef<std::ffi::OsStr>) -> CString {
    CString::new(path.as_ref().as_encoded_bytes()).unwrap()
}

/// See the module's text.
pub struct Fuse {
    device: File,
    /// The numbers and kinds of the questions that wait; `None` once answers are given at once.
    pub waiting: Mutex<Option<Vec<(u64, u32)>>>,
}

impl Fuse {
    pub fn new() -> Self {
        // SAFETY: takes no arguments.
        let root = unsafe { libc::geteuid() } == 0;
        assert!(
            root && Path::new("/dev/fuse").exists(),
            "needs root and /dev/fuse (modprobe fuse)"
        );
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
        Self { device, waiting: Mutex::new(Some(Vec::new())) }
    }

    fn reply(&self, unique: u64, error: i32, body: &[u8]) {
        let mut message = Vec::new();
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(error.to_ne_bytes());
        message.extend(unique.to_ne_bytes());
        message.extend(body);
        // The asker may be gone (ENOENT).
        let _ = (&self.device).write(&message);
    }

    /// 1,000 blocks of 512 bytes of which 250 are free.
    fn answer(&self, unique: u64, kind: u32) {
        if kind != STATFS {
            return self.reply(unique, -libc::ENOENT, &[]);
        }
        let mut body = Vec::new();
        [1000u64, 250, 200, 10, 5].iter().for_each(|n| body.extend(n.to_ne_bytes()));
        // bsize is a mere hint; blocks are counted in frsize.
        [4096u32, 255, 512].iter().for_each(|n| body.extend(n.to_ne_bytes()));
        body.extend([0; 28]);
        self.reply(unique, 0, &body);
    }

    /// Until the device is unmounted.
    pub fn serve(&self) {
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
                    self.reply(unique, 0, &body);
                }
                FORGET | BATCH_FORGET | INTERRUPT => {}
                kind => match &mut *self.waiting.lock().unwrap() {
                    Some(waiting) => waiting.push((unique, kind)),
                    None => self.answer(unique, kind),
                },
            }
        }
    }

    /// Answers all that wait, and from now on at once: with figures, or that nothing is there.
    pub fn relent(&self) {
        for (unique, kind) in self.waiting.lock().unwrap().take().into_iter().flatten() {
            self.answer(unique, kind);
        }
    }
}

/// Mounts it, for this thread and the processes that it starts.
pub fn mount(fuse: &Fuse, point: &Path) {
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

/// Answers at the end, also when the test fails: a process that waits for an answer cannot be killed.
pub struct Relents<'a>(pub &'a Fuse);

impl Drop for Relents<'_> {
    fn drop(&mut self) {
        self.0.relent();
    }
}

/// Takes the mount away with all questions that wait, also when the test fails: otherwise the
/// thread that serves it would never end.
pub struct Mounted<'a>(pub &'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // SAFETY: the string ends with NUL.
        unsafe { libc::umount2(text(self.0).as_ptr(), libc::MNT_DETACH | libc::MNT_FORCE) };
    }
}
