//! collect: mounts that hang, slow ones, and those that come and go. A substitute for the system
//! call blocks until it is released.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::*;
use crate::model::Registry;

const ROOT: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n";

/// A time that is long enough for answers on a busy machine.
const FOR_SURE: Duration = Duration::from_secs(20);

fn nfs(id: u32, point: &str) -> String {
    format!("{id} 21 0:{id} / {point} rw - nfs4 srv:{point} rw\n")
}

/// A file system of `blocks` blocks, half of them used.
fn half(blocks: f64) -> Space {
    let (free, files) = (blocks / 2.0, 10.0);
    let used_percent = Some(50.0);
    Space { size: blocks, free, avail: free, files, files_free: 1.0, used_percent }
}

/// A server that answers on command: each question arrives with the means to answer it.
struct Server {
    questions: Receiver<(String, SyncSender<io::Result<Space>>)>,
}

impl Server {
    fn next(&self) -> (String, SyncSender<io::Result<Space>>) {
        self.questions.recv_timeout(FOR_SURE).expect("a question")
    }

    fn quiet(&self) -> bool {
        self.questions.try_recv().is_err()
    }
}

struct Machine {
    dir: tempfile::TempDir,
    collector: Filesystem,
    recorder: Recorder,
    registry: Arc<Registry>,
}

impl Machine {
    /// A machine with these mounts; those with `mnt` in their path ask the server.
    fn with(table: &str) -> (Self, Server) {
        let (sender, questions) = sync_channel(64);
        let sender = Mutex::new(sender);
        let statvfs = move |path: &CStr| {
            let path = path.to_str().unwrap();
            if !path.contains("/mnt/") {
                return Ok(half(1000.0));
            }
            let (answer, reply) = sync_channel(64);
            sender.lock().unwrap().send((path.to_owned(), answer)).unwrap();
            reply.recv().unwrap_or(Err(Errno::IO.into()))
        };
        (Self::asking(table, Arc::new(statvfs)), Server { questions })
    }

    fn asking(table: &str, statvfs: Statvfs) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { proc: dir.path().to_owned(), ..Settings::default() };
        let registry = Arc::new(Registry::default());
        let recorder = Recorder::new(Arc::clone(&registry), "node", Arc::default());
        let collector = Filesystem::new(&settings, statvfs);
        let machine = Self { dir, collector, recorder, registry };
        machine.mounts(table);
        machine
    }

    fn mounts(&self, table: &str) {
        std::fs::create_dir_all(self.dir.path().join("1")).unwrap();
        std::fs::write(self.dir.path().join("1/mountinfo"), table).unwrap();
    }

    fn beat(&mut self) -> (Result<(), CollectError>, BTreeMap<String, f64>) {
        self.recorder.begin();
        let result = self.collector.collect(&mut self.recorder);
        let samples = self.recorder.samples().iter();
        (
            result,
            samples.map(|(s, v)| (self.registry.get(*s).expect("known").to_string(), *v)).collect(),
        )
    }

    fn idle(&self, target: usize) {
        self.collector.asked[target].worker.as_ref().unwrap().until_idle();
    }

    fn threads(&self) -> usize {
        Arc::strong_count(&self.collector.alive) - 1
    }

    /// Waits until threads that were let go have ended.
    fn threads_fall_to(&self, wanted: usize) {
        let deadline = Instant::now() + FOR_SURE;
        while self.threads() > wanted {
            assert!(Instant::now() < deadline, "{} threads", self.threads());
            std::thread::yield_now();
        }
    }
}

fn error_of(point: &str) -> String {
    format!(
        "node_filesystem_device_error{{device=\"srv:{point}\",fstype=\"nfs4\",mountpoint=\"{point}\"}}"
    )
}

#[test]
fn a_stuck_mount_is_asked_once_and_holds_up_nobody() {
    let (mut machine, server) = Machine::with(&format!("{ROOT}{}", nfs(30, "/mnt/a")));
    for beat in 0..200 {
        let (result, samples) = machine.beat();
        assert_eq!(result.unwrap_err().to_string(), "no answer from /mnt/a", "beat {beat}");
        assert_eq!(samples["disk_/"], 50.0);
        assert_eq!(samples[&error_of("/mnt/a")], 1.0);
        // Eight for the local one, the error alone for the other.
        assert_eq!(samples.len(), 9);
    }
    let (path, answer) = server.next();
    assert_eq!(path, "/mnt/a");
    assert!(server.quiet() && machine.threads() == 1);

    answer.send(Ok(half(4.0))).unwrap();
    machine.idle(1);
    machine.collector.patience = FOR_SURE;
    let fresh = std::thread::spawn(move || {
        server.next().1.send(Ok(half(8.0))).unwrap();
        server
    });
    let (result, samples) = machine.beat();
    assert!(result.is_ok());
    assert_eq!(samples[&error_of("/mnt/a")], 0.0);
    let size = samples.iter().find(|(key, _)| key.contains("size") && key.contains("/mnt/a"));
    assert_eq!(size.map(|(_, v)| *v), Some(8.0), "an answer of now, not the late one");
    fresh.join().unwrap();
    assert_eq!(machine.threads(), 1);
}

#[test]
fn a_late_answer_is_reported_once() {
    let (mut machine, server) = Machine::with(&nfs(30, "/mnt/a"));
    assert!(matches!(machine.beat().0, Err(CollectError::Stuck(_))));
    server.next().1.send(Ok(half(4.0))).unwrap();
    machine.idle(0);
    let (result, samples) = machine.beat();
    assert!(result.is_ok() && samples["disk_/mnt/a"] == 50.0);
    let (result, samples) = machine.beat();
    assert!(matches!(result, Err(CollectError::Stuck(_))));
    assert_eq!(samples.len(), 1, "the value is not repeated");
}

#[test]
fn several_are_named_together() {
    let table = format!("{}{ROOT}{}", nfs(30, "/mnt/a"), nfs(31, "/mnt/b"));
    let (mut machine, _server) = Machine::with(&table);
    assert_eq!(machine.beat().0.unwrap_err().to_string(), "no answer from /mnt/a, /mnt/b");
}

#[test]
fn a_thread_ends_when_its_mount_is_gone_and_the_kernel_lets_go() {
    let (mut machine, server) = Machine::with(&format!("{ROOT}{}", nfs(30, "/mnt/a")));
    assert!(machine.beat().0.is_err());
    machine.mounts(ROOT);
    let (result, samples) = machine.beat();
    assert!(result.is_ok() && samples.len() == 8);
    assert_eq!(machine.threads(), 1, "the kernel still holds it");
    drop(server.next().1);
    machine.threads_fall_to(0);
}

#[test]
fn another_mount_at_the_same_place_is_asked_anew() {
    let (mut machine, server) = Machine::with(&nfs(30, "/mnt/a"));
    assert!(machine.beat().0.is_err());
    let stuck = server.next().1;
    machine.mounts(&nfs(77, "/mnt/a"));
    machine.collector.patience = FOR_SURE;
    let answers = std::thread::spawn(move || {
        server.next().1.send(Ok(half(2.0))).unwrap();
        server
    });
    assert!(machine.beat().0.is_ok());
    assert_eq!(machine.threads(), 2);
    drop(stuck);
    machine.threads_fall_to(1);
    answers.join().unwrap();
}

#[test]
fn however_many_hang_there_are_not_more_threads_than_allowed() {
    let table: String = (0..100).map(|i| nfs(100 + i, &format!("/mnt/{i}"))).collect();
    let (mut machine, _server) = Machine::with(&format!("{table}{ROOT}"));
    for _ in 0..3 {
        let (result, samples) = machine.beat();
        assert!(matches!(result, Err(CollectError::Stuck(_))));
        assert_eq!((samples.len(), samples["disk_/"]), (108, 50.0));
        assert_eq!(machine.threads(), MAX_WORKERS);
    }
}

#[test]
fn an_error_is_told_unless_the_mount_is_none_of_our_business() {
    let table = format!("{ROOT}22 21 8:2 / /bad rw - ext4 /dev/sdb rw\n");
    for (errno, told) in [(Errno::IO, true), (Errno::STALE, true), (Errno::ACCESS, false)] {
        let statvfs = move |path: &CStr| match path.to_bytes() {
            b"/bad" => Err(errno.into()),
            _ => Ok(half(2.0)),
        };
        let mut machine = Machine::asking(&table, Arc::new(statvfs));
        let (result, samples) = machine.beat();
        match result {
            Err(CollectError::Read { path, source }) => {
                assert!(told && path == Path::new("/bad"));
                assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()));
            }
            other => assert!(!told && other.is_ok()),
        }
        assert_eq!(
            samples.iter().filter(|(k, v)| k.contains("device_error") && **v == 1.0).count(),
            1
        );
        assert_eq!(samples["disk_/"], 50.0);
    }
}

#[test]
fn nothing_to_fill_has_no_percentage() {
    let empty = Space { used_percent: None, ..half(0.0) };
    let mut machine = Machine::asking(ROOT, Arc::new(move |_: &CStr| Ok(empty)));
    let (result, samples) = machine.beat();
    assert!(result.is_ok() && samples.len() == 7 && !samples.contains_key("disk_/"));
}

#[test]
fn the_table_is_followed_and_its_oddities_are_told() {
    let (mut machine, _server) = Machine::with(ROOT);
    assert_eq!(machine.beat().1.len(), 8);
    machine.mounts(&format!("{ROOT}22 21 8:2 / /home rw - xfs /dev/sdb rw\n"));
    assert_eq!(machine.beat().1.len(), 16);
    machine.mounts("what is this\n");
    let (result, samples) = machine.beat();
    let message = result.unwrap_err().to_string();
    assert!(message.ends_with("1/mountinfo: no mount in \"what is this\""), "{message}");
    assert!(samples.is_empty());
    machine.mounts(ROOT);
    assert_eq!(machine.beat().1.len(), 8);
    std::fs::remove_dir_all(machine.dir.path().join("1")).unwrap();
    assert_eq!(machine.beat().1.len(), 8, "the kept descriptor outlives the name");
}

#[test]
fn without_the_first_process_s_table_its_own_is_read() {
    let machine = Machine::asking("", Arc::new(|_: &CStr| Ok(half(2.0))));
    let proc = machine.dir.path();
    std::fs::remove_dir_all(proc.join("1")).unwrap();
    std::fs::create_dir(proc.join("self")).unwrap();
    std::fs::write(proc.join("self/mountinfo"), ROOT).unwrap();
    let mut machine = machine;
    assert_eq!(machine.beat().1.len(), 8);
    std::fs::remove_dir_all(machine.dir.path().join("self")).unwrap();
    machine.collector.files[1].0 = KeptFile::required(machine.dir.path().join("self/mountinfo"));
    let message = machine.beat().0.unwrap_err().to_string();
    assert!(message.contains("self/mountinfo: No such file"), "{message}");
}
