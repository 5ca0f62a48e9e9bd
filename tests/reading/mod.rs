//! tests: one reading by the collectors of the table, as sorted lines. No assertions here.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::collect::filesystem::{Filesystem, Statvfs};
use plimsoll::collect::{COLLECTORS, CollectError, Collector, Entry, Settings};
use plimsoll::model::{Recorder, Registry};

/// The fixture machines.
pub const MACHINES: [&str; 3] = ["container", "vm", "bighost"];

pub fn machine(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/machines").join(name)
}

pub fn settings(root: &Path) -> Settings {
    Settings {
        proc: root.join("proc"),
        sys: root.join("sys"),
        root: root.to_owned(),
        ..Settings::default()
    }
}

/// A collector, what it reported in its order, and how it ended.
pub type Outcome = (&'static str, Vec<(String, f64)>, Result<(), CollectError>);

/// The collectors of the table, each with its recorder.
pub struct Reader {
    pub collectors: Vec<(&'static str, Box<dyn Collector>, Recorder)>,
    registry: Arc<Registry>,
}

impl Reader {
    pub fn new(settings: &Settings) -> Self {
        let registry = Arc::new(Registry::default());
        let recorder = || Recorder::new(Arc::clone(&registry), "node", Arc::default());
        let make = |e: &Entry| (e.name, (e.make)(settings), recorder());
        Self { collectors: COLLECTORS.iter().map(make).collect(), registry }
    }

    /// With a substitute for the system call of the file systems.
    pub fn asking(settings: &Settings, statvfs: Statvfs) -> Self {
        let mut reader = Self::new(settings);
        for (name, collector, _) in &mut reader.collectors {
            if *name == "filesystem" {
                *collector = Box::new(Filesystem::new(settings, Arc::clone(&statvfs)));
            }
        }
        reader
    }

    /// Without some collectors.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.collectors.retain(|(name, ..)| !names.contains(name));
        self
    }

    /// One beat of all.
    #[allow(clippy::type_complexity, reason = "read once, by eye")]
    pub fn beat(&mut self) -> Vec<Outcome> {
        let Self { collectors, registry } = self;
        let mut all = Vec::new();
        for (name, collector, recorder) in collectors {
            recorder.begin();
            let result = collector.collect(recorder);
            let samples = recorder.samples().iter();
            let samples =
                samples.map(|(s, v)| (registry.get(*s).expect("known").to_string(), *v)).collect();
            all.push((*name, samples, result));
        }
        all
    }

    /// One beat that must go well, by key; what is not on the machine is passed over.
    pub fn values(&mut self) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        for (name, samples, result) in self.beat() {
            assert!(matches!(result, Ok(()) | Err(CollectError::Absent)), "{name}: {result:?}");
            for (key, value) in samples {
                assert_eq!(values.insert(key.clone(), value), None, "{key} twice");
            }
        }
        values
    }
}
