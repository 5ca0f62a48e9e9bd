//! collect: devices and mounts that are left out by default, as in node_exporter. Names in, yes or
//! no out; written by hand, because a regex engine would be larger than all collectors.

use crate::model::Glob;

/// File systems that hold no files of anybody's.
const PSEUDO_TYPES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Whether any of the patterns fits.
pub fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

/// Whether the file system type is one of the kernel's own, or a read-only image.
pub fn pseudo_type(fstype: &str) -> bool {
    PSEUDO_TYPES.binary_search(&fstype).is_ok()
}

/// `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`
pub fn system_mount(point: &str) -> bool {
    let below = |top: &str| point.strip_prefix(top).filter(|rest| !rest.is_empty());
    ["/dev", "/proc", "/sys"]
        .iter()
        .any(|top| point == *top || below(top).is_some_and(|rest| rest.starts_with('/')))
        || ["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"]
            .iter()
            .any(|top| below(top).is_some())
}

/// `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`: partitions, and disks in memory.
pub fn lesser_disk(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd") {
        return true;
    }
    if let Some(numbers) = stem.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p')) {
        return numbers.split_once('n').is_some_and(|(a, b)| digits(a) && digits(b));
    }
    let letter = ["hd", "sd", "vd", "xvd"].iter().find_map(|bus| stem.strip_prefix(bus));
    letter.is_some_and(|l| l.len() == 1 && l.as_bytes()[0].is_ascii_lowercase())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        assert!(PSEUDO_TYPES.is_sorted());
        assert!(pseudo_type("cgroup2") && pseudo_type("overlay"));
        assert!(!pseudo_type("ext4") && !pseudo_type("cgroup3") && !pseudo_type("tmpfs"));
    }

    #[test]
    fn system_mounts() {
        let out = "/dev /dev/shm /proc/x /sys /run/credentials/a /var/lib/docker/x/y";
        for point in out.split(' ') {
            assert!(system_mount(point), "{point}");
        }
        let stay = "/ /devel /run /run/credentials /run/user/0 /var/lib/docker /home/dev";
        for point in stay.split(' ') {
            assert!(!system_mount(point), "{point}");
        }
    }

    #[test]
    fn lesser_disks() {
        let out = "ram0 zram12 loop7 fd0 sda1 hdb12 vdc3 xvda1 nvme0n1p1 nvme10n2p15";
        for device in out.split(' ') {
            assert!(lesser_disk(device), "{device}");
        }
        let stay = "sda sdaa1 nvme0n1 md0 dm-3 xvda vd1 sr0 mmcblk0p1 nvmep1 nvme0np1  7";
        for device in stay.split(' ') {
            assert!(!lesser_disk(device), "{device}");
        }
    }
}
