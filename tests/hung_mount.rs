//! tests: a real FUSE mount that never answers STATFS, in a mount name space of its own. Alone in
//! its file: it counts the descriptors and threads of the process.

mod fuse;
mod reading;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use fuse::{Fuse, Mounted, mount};
use plimsoll::collect::{CollectError, Settings};
use reading::Reader;

/// What the mount table of this thread, not of process 1, and the rest of /proc look like.
fn private_proc(dir: &Path) {
    symlink("/proc/thread-self", dir.join("self")).unwrap();
    for name in ["loadavg", "meminfo", "stat", "diskstats", "vmstat", "pressure", "sys", "net"] {
        symlink(Path::new("/proc").join(name), dir.join(name)).unwrap();
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
    let fuse = Fuse::new();
    let dir = tempfile::tempdir().unwrap();
    let (point, proc) = (dir.path().join("stubborn"), dir.path().join("proc"));
    std::fs::create_dir(&point).unwrap();
    std::fs::create_dir(&proc).unwrap();
    private_proc(&proc);
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
