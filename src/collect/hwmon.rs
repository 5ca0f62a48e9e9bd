//! collect: temperatures, from /sys/class/hwmon.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::file::KeptFile;
use super::scan::{Odd, name, number};
use super::{CollectError, Collector, Entry, Settings, regular};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 1] =
    [Metric::gauge("node_hwmon_temp_celsius", "celsius", "Temperature that a sensor shows.")
        .by(&["chip", "sensor"])];

struct HwMon {
    path: PathBuf,
    folder: Option<OwnedFd>,
    /// A hash of the names in the folder, which changes with each driver that comes or goes.
    seen: u64,
    sensors: Vec<Sensor>,
}

struct Sensor {
    chip: String,
    sensor: String,
    file: KeptFile,
}

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("hwmon", "temperatures", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    let path = settings.sys.join("class/hwmon");
    Box::new(HwMon { path, folder: None, seen: 0, sensors: Vec::new() })
}

/// The possible temperatures of a sensor in a computer, in degrees. Drivers that misread their chip
/// report millions. Absolute zero comes from a disk without this sensor, and node_exporter passes
/// it on.
const PLAUSIBLE: RangeInclusive<f64> = -273.15..=2000.0;

/// Parses a file with thousandths of a degree; it is empty if the driver has no value.
fn celsius(text: &[u8]) -> Result<Option<f64>, Odd> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let thousandths = number(text).ok_or_else(|| Odd::new("no temperature", text))?;
    let celsius = thousandths / 1000.0;
    if !PLAUSIBLE.contains(&celsius) {
        return Err(Odd::new("no temperature that can be", text));
    }
    Ok(Some(celsius))
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

/// Cleans the name of a chip as node_exporter does: lower case, odd characters replaced.
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

/// The chip's name from its driver.
fn own_name(dir: &Path) -> String {
    regular::read(&dir.join("name"), 4_096).map(|text| clean(&name(&text))).unwrap_or_default()
}

/// A name that stays the same after the next start, when hwmon1 may be hwmon2: bus and device, or
/// else the driver's name.
fn chip_name(dir: &Path) -> String {
    if let Ok(device) = dir.join("device").canonicalize() {
        let bus = device.parent().map(last_part).unwrap_or_default();
        match (&*bus, &*last_part(&device)) {
            (_, "") => {}
            ("", device) => return device.to_owned(),
            (bus, device) => return format!("{bus}_{device}"),
        }
    }
    let own = own_name(dir);
    if own.is_empty() { dir.canonicalize().map_or(own, |dir| last_part(&dir)) } else { own }
}

/// The name of each chip. Where one device has several chips (a radio with three bands), their own
/// names tell them apart, as in node_exporter; or else their numbers.
fn chip_names(dirs: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = dirs.iter().map(|dir| chip_name(dir)).collect();
    for more in [own_name, last_part] {
        let mut times: HashMap<String, usize> = HashMap::new();
        for name in &names {
            *times.entry(name.clone()).or_default() += 1;
        }
        for (dir, name) in dirs.iter().zip(&mut names) {
            let more = more(dir);
            if times.get(name).is_some_and(|n| *n > 1) && !more.is_empty() && more != *name {
                *name = format!("{name}_{more}");
            }
        }
    }
    names
}

/// The temperature files of one chip. Old drivers have them beside the device instead.
fn sensors_of(dir: &Path, chip: &str) -> Vec<Sensor> {
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
        Some(Sensor { chip: chip.to_owned(), sensor, file })
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
            // A sum, because the order of files is arbitrary.
            sum = sum.wrapping_add(hasher.finish());
        }
        self.folder = Some(folder);
        Ok(sum)
    }

    fn find_sensors(&mut self) {
        let chips = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut dirs: Vec<_> = chips.map(|entry| entry.path()).collect();
        dirs.sort();
        let names = chip_names(&dirs);
        self.sensors =
            dirs.iter().zip(names).flat_map(|(dir, chip)| sensors_of(dir, &chip)).collect();
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
            match file.parse(|text| Ok(celsius(text))) {
                Ok(Ok(Some(celsius))) => out.put_with(&METRICS[0], &[chip, sensor], celsius),
                Ok(Ok(None)) | Err(CollectError::Absent) => {}
                // An odd sensor does not affect the others.
                Ok(Err(odd)) => file.tell(out, 0, &odd),
                // The sensor of a sleeping disk, or of a radio that is off, answers with an error
                // that its driver chose (EAGAIN, ENODATA, EIO, …), beat after beat: no warning.
                Err(CollectError::Read { source, .. })
                    if source.kind() != std::io::ErrorKind::PermissionDenied => {}
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
    fn chips_of_one_device_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let chip = |number: usize, device: &str, own: &str| {
            let device = dir.path().join("devices").join(device);
            std::fs::create_dir_all(&device).unwrap();
            let chip = dir.path().join(format!("hwmon{number}"));
            std::fs::create_dir(&chip).unwrap();
            std::fs::write(chip.join("name"), own).unwrap();
            std::os::unix::fs::symlink(device, chip.join("device")).unwrap();
            chip
        };
        let dirs = [
            chip(0, "ieee80211/phy0", "mt7996_phy0.0\n"),
            chip(1, "ieee80211/phy0", "mt7996_phy0.1\n"),
            chip(2, "pci/0000", "k10temp\n"),
            chip(3, "i2c/7", "jc42\n"),
            chip(4, "i2c/7", "jc42\n"),
        ];
        assert_eq!(
            chip_names(&dirs),
            [
                "ieee80211_phy0_mt7996_phy0_0",
                "ieee80211_phy0_mt7996_phy0_1",
                "pci_0000",
                "i2c_7_jc42_hwmon3",
                "i2c_7_jc42_hwmon4",
            ]
        );
    }

    #[test]
    fn an_empty_sensor_file_is_no_failure_and_an_impossible_value_no_reading() {
        let dir = tempfile::tempdir().unwrap();
        let chip = dir.path().join("class/hwmon/hwmon0");
        std::fs::create_dir_all(&chip).unwrap();
        for (file, text) in [
            ("name", "asus\n"),
            ("temp1_input", ""),
            ("temp2_input", "42000\n"),
            ("temp3_input", "3892313987\n"),
        ] {
            std::fs::write(chip.join(file), text).unwrap();
        }
        let mut collector = make(&Settings { sys: dir.path().to_owned(), ..Settings::default() });
        let mut out = Recorder::new(Default::default(), "node", Default::default());
        collector.collect(&mut out).unwrap();
        assert_eq!(out.samples().iter().map(|s| s.1).collect::<Vec<_>>(), [42.0]);
        let told = out.take_told();
        assert!(told.len() == 1 && told[0].contains("temp3_input: no temperature that can be"));
    }

    #[test]
    fn thousandths() {
        assert_eq!(celsius(b"-40250\n"), Ok(Some(-40.25)));
        assert_eq!((celsius(b""), celsius(b"\n")), (Ok(None), Ok(None)));
        for odd in [&b"3892313987"[..], b"-273151", b"x"] {
            assert!(celsius(odd).is_err());
        }
        super::super::scan::tests::survives(b"45000\n", |text| drop(celsius(text)));
    }
}
