//! collect: temperatures, from /sys/class/hwmon.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::file::KeptFile;
use super::scan::{Odd, name, number};
use super::{CollectError, Collector, Settings, regular};
use crate::model::{Metric, Recorder};

/// What it reports.
pub static METRICS: [Metric; 1] =
    [Metric::gauge("node_hwmon_temp_celsius", "celsius", "Temperature that a sensor shows.")
        .by(&["chip", "sensor"])];

struct HwMon {
    path: PathBuf,
    folder: Option<OwnedFd>,
    /// Of the names in the folder: a driver that comes or goes changes them.
    seen: u64,
    sensors: Vec<Sensor>,
}

struct Sensor {
    chip: String,
    sensor: String,
    file: KeptFile,
}

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    let path = settings.sys.join("class/hwmon");
    Box::new(HwMon { path, folder: None, seen: 0, sensors: Vec::new() })
}

/// The file has thousandths of a degree.
fn celsius(text: &[u8]) -> Result<f64, Odd> {
    let thousandths = number(text.trim_ascii()).ok_or_else(|| Odd::new("no temperature", text))?;
    Ok(thousandths / 1000.0)
}

/// The sensor and property in a file's name: (`temp1`, `input`) of `temp1_input`; old drivers have
/// a bare `temp1`.
fn sensor_of(file: &str) -> Option<(String, &str)> {
    let rest = file.strip_prefix("temp")?;
    let (id, property) = rest.split_once('_').unwrap_or((rest, ""));
    if !id.bytes().all(|b| b.is_ascii_digit()) || !matches!(property, "" | "input") {
        return None;
    }
    let id: u64 = if id.is_empty() { 0 } else { id.parse().ok()? };
    Some((format!("temp{id}"), property))
}

/// As node_exporter writes names of chips: lower case, the odd characters replaced.
fn clean(text: &str) -> String {
    let replaced: String = text
        .trim_end_matches('\n')
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | ':' | '_') => c,
            _ => '_',
        })
        .collect();
    replaced.trim_matches('_').to_owned()
}

fn last_part(path: &Path) -> String {
    clean(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// A name that is the same after the next start, when hwmon1 may be hwmon2: bus and device,
/// otherwise what the driver calls itself.
fn chip_name(dir: &Path) -> String {
    if let Ok(device) = dir.join("device").canonicalize() {
        let bus = device.parent().map(last_part).unwrap_or_default();
        match (&*bus, &*last_part(&device)) {
            (_, "") => {}
            ("", device) => return device.to_owned(),
            (bus, device) => return format!("{bus}_{device}"),
        }
    }
    let own =
        regular::read(&dir.join("name"), 4_096).map(|text| clean(&name(&text))).unwrap_or_default();
    if own.is_empty() { dir.canonicalize().map_or(own, |dir| last_part(&dir)) } else { own }
}

/// The temperature files of one chip. Old drivers have them beside the device instead.
fn sensors_of(dir: &Path) -> Vec<Sensor> {
    let chip = chip_name(dir);
    let mut found: BTreeMap<String, [Option<PathBuf>; 2]> = BTreeMap::new();
    for dir in [dir.to_owned(), dir.join("device")] {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if let Some((sensor, property)) = entry.file_name().to_str().and_then(sensor_of) {
                let kind = usize::from(property == "input");
                found.entry(sensor).or_default()[kind] = Some(entry.path());
            }
        }
    }
    let sensors = found.into_iter().filter_map(|(sensor, [bare, input])| {
        let file = KeptFile::optional(bare.or(input)?);
        Some(Sensor { chip: chip.clone(), sensor, file })
    });
    sensors.collect()
}

impl HwMon {
    /// A fingerprint of the folder's names: a whole rack of chips is read in one system call.
    fn names(&mut self) -> Result<u64, Errno> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(&self.path, flags, Mode::empty())?
            }
        };
        rustix::fs::seek(&folder, SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(&folder, &mut buffer);
        let mut sum = 0u64;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let mut hasher = DefaultHasher::new();
            (entry.file_name(), entry.ino()).hash(&mut hasher);
            // A sum, for the order is the file system's.
            sum = sum.wrapping_add(hasher.finish());
        }
        self.folder = Some(folder);
        Ok(sum)
    }

    fn find_sensors(&mut self) {
        let chips = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut dirs: Vec<_> = chips.map(|entry| entry.path()).collect();
        dirs.sort();
        self.sensors = dirs.iter().flat_map(|dir| sensors_of(dir)).collect();
    }
}

impl Collector for HwMon {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        match self.names() {
            Ok(names) if names == self.seen => {}
            Ok(names) => {
                self.seen = names;
                self.find_sensors();
            }
            Err(errno) => {
                self.seen = 0;
                self.sensors.clear();
                return Err(match errno {
                    Errno::NOENT | Errno::NOTDIR => CollectError::Absent,
                    errno => CollectError::Read { path: self.path.clone(), source: errno.into() },
                });
            }
        }
        if self.sensors.is_empty() {
            return Err(CollectError::Absent);
        }
        let mut outcome = Ok(());
        for Sensor { chip, sensor, file } in &mut self.sensors {
            match file.parse(celsius) {
                Ok(celsius) => out.put_with(&METRICS[0], &[chip, sensor], celsius),
                // The sensor of a sleeping disk or of a radio that is off says so by an error of
                // its driver's choice (EAGAIN, ENODATA, EIO, …), beat after beat: no warning.
                Err(CollectError::Read { source, .. })
                    if source.kind() != std::io::ErrorKind::PermissionDenied => {}
                Err(CollectError::Absent) => {}
                Err(failed) => outcome = Err(failed),
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sensors_and_chips() {
        assert_eq!(sensor_of("temp1_input"), Some(("temp1".into(), "input")));
        assert_eq!(sensor_of("temp007"), Some(("temp7".into(), "")));
        assert_eq!(sensor_of("temp"), Some(("temp0".into(), "")));
        for other in "temp1_max fan1_input temperature temp1x_input temp1_input_x ".split(' ') {
            assert_eq!(sensor_of(other), None, "{other}");
        }
        assert_eq!(clean("0000:02:00.0\n"), "0000:02:00_0");
        assert_eq!(clean("_K10 Temp_"), "k10_temp");
    }

    #[test]
    fn thousandths() {
        assert_eq!(celsius(b"-40250\n"), Ok(-40.25));
        assert!(celsius(b"\n").is_err());
        super::super::scan::tests::survives(b"45000\n", |text| drop(celsius(text)));
    }
}
