//! A generated machine that is well: what its collectors read at each beat. It has days and nights, a
//! backup at two o'clock that fills disks and CPUs, cron jobs, log files that grow and are rotated, package
//! upgrades, a job that fills the memory with caches, bursts on the network, and sensors of a laptop. The
//! same seed makes the same machine.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll::model::{Identity, Labels, Registry, Series, SeriesRef};

use crate::random::Random;

/// What kind of machine it is.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// CPUs.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: f64,
    /// Whether the kernel counts waiting.
    pub pressure: bool,
    /// The share of the time in which the nightly backup leaves everything waiting for the disk.
    pub backup_waits: f64,
}

/// A small server in a cloud: one CPU, a slow disk.
pub const SMALL: Kind = Kind { cpus: 1, memory: 1e9, pressure: true, backup_waits: 0.9 };
/// A server with eight CPUs.
pub const SERVER: Kind = Kind { cpus: 8, memory: 64e9, pressure: true, backup_waits: 0.5 };
/// An old machine whose kernel does not count waiting.
pub const OLD: Kind = Kind { cpus: 2, memory: 4e9, pressure: false, backup_waits: 0.0 };

/// Labels of a series.
pub type Pairs<'a> = &'a [(&'a str, &'a str)];

struct Row {
    name: &'static str,
    labels: Labels,
    series: SeriesRef,
    value: Option<f64>,
}

/// A file system of the machine.
struct Mount {
    point: &'static str,
    device: &'static str,
    fstype: &'static str,
    size: f64,
    inodes: f64,
}

const MOUNTS: [Mount; 8] = [
    Mount { point: "/", device: "/dev/vda1", fstype: "ext4", size: 100e9, inodes: 6.5e6 },
    Mount { point: "/boot", device: "/dev/vda2", fstype: "ext4", size: 1e9, inodes: 65_000.0 },
    Mount { point: "/var/log", device: "/dev/vda3", fstype: "ext4", size: 20e9, inodes: 1.3e6 },
    Mount { point: "/backup", device: "/dev/sda1", fstype: "btrfs", size: 500e9, inodes: 0.0 },
    Mount { point: "/mnt/nas", device: "nas:/vol", fstype: "nfs4", size: 8e12, inodes: 2e9 },
    Mount { point: "/snap/core", device: "/dev/loop0", fstype: "squashfs", size: 6e7, inodes: 1e4 },
    Mount { point: "/run", device: "tmpfs", fstype: "tmpfs", size: 4e8, inodes: 1e5 },
    Mount { point: "/media/stick", device: "/dev/sdb1", fstype: "vfat", size: 32e9, inodes: 0.0 },
];

/// See the module.
pub struct World {
    kind: Kind,
    random: Random,
    registry: std::sync::Arc<Registry>,
    zone: TimeZone,
    rows: Vec<Row>,
    next: usize,
    /// When the machine was started, seconds since 1970 UTC.
    booted: f64,
    /// Counters: CPU seconds by mode, waiting for disks and memory (some, all), packets, damaged packets.
    cpu: [f64; 4],
    io_all: f64,
    memory_some: f64,
    memory_all: f64,
    packets: f64,
    damaged: f64,
    wireless_damaged: f64,
    veth: f64,
    /// Averages that move slowly.
    load5: f64,
    noise: f64,
    heat: f64,
    /// A burst on the network lasts so much longer, seconds.
    burst: f64,
    /// A service is being restarted for so much longer, seconds.
    upgrade: f64,
    upgraded: f64,
    oom: f64,
    /// A collector fails for so much longer, seconds.
    stumble: f64,
}

impl World {
    /// A machine that was started two days before `now` (ms since 1970 UTC).
    pub fn new(kind: Kind, seed: u64, now: i64, registry: std::sync::Arc<Registry>) -> Self {
        Self {
            kind,
            random: Random(seed.max(1)),
            registry,
            zone: TimeZone::get("Europe/Berlin").expect("this machine knows it"),
            rows: Vec::new(),
            next: 0,
            booted: (now / 1000 - 2 * 86_400) as f64,
            cpu: [0.0; 4],
            io_all: 0.0,
            memory_some: 0.0,
            memory_all: 0.0,
            packets: 1e6,
            damaged: 3.0,
            wireless_damaged: 0.0,
            veth: 0.0,
            load5: 0.1,
            noise: 0.0,
            heat: 45.0,
            burst: 0.0,
            upgrade: 0.0,
            upgraded: 0.0,
            oom: 0.0,
            stumble: 0.0,
        }
    }

    /// A number from 0 to 1.
    fn dice(&mut self) -> f64 {
        (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The machine is started at `now` (ms since 1970 UTC): counters begin again.
    pub fn reboot(&mut self, now: i64) {
        self.booted = (now / 1000) as f64;
        self.reset();
        self.load5 = 0.0;
    }

    /// Counters begin again.
    pub fn reset(&mut self) {
        self.cpu = [0.0; 4];
        (self.io_all, self.memory_some, self.memory_all) = (0.0, 0.0, 0.0);
        (self.packets, self.damaged, self.wireless_damaged) = (0.0, 0.0, 0.0);
        (self.upgraded, self.oom) = (0.0, 0.0);
    }

    /// The clock of the machine is set, ms: the kernel's time of the start moves with it.
    pub fn clock_set(&mut self, by: i64) {
        self.booted += by as f64 / 1000.0;
    }

    /// Writes a reading of this beat, or another value over it.
    pub fn put(&mut self, name: &'static str, labels: Pairs<'_>, value: f64) {
        let fits = |row: &Row| row.name == name && row.labels.iter().eq(labels.iter().copied());
        let count = self.rows.len();
        let place = (0..count).map(|n| (self.next + n) % count).find(|at| fits(&self.rows[*at]));
        let place = place.unwrap_or_else(|| {
            // Labels are kept in their order.
            let mut sorted = labels.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, labels, "labels of {name} in their order");
            let labels = Labels::new(labels.iter().copied());
            let identity = Identity::local("node", name, labels.clone());
            let series = self.registry.intern(Series::undescribed(identity));
            self.rows.push(Row { name, labels, series, value: None });
            count
        });
        self.rows[place].value = Some(value);
        self.next = place + 1;
    }

    /// The value of this beat.
    pub fn get(&self, name: &str, labels: Pairs<'_>) -> f64 {
        let fits = |row: &&Row| row.name == name && row.labels.iter().eq(labels.iter().copied());
        self.rows.iter().find(fits).and_then(|row| row.value).unwrap_or(f64::NAN)
    }

    /// What a label says of these is not read at this beat.
    pub fn lose(&mut self, label: &str, value: &str) {
        for row in self.rows.iter_mut().filter(|row| row.labels.get(label) == Some(value)) {
            row.value = None;
        }
    }

    /// Nothing is read at this beat.
    pub fn clear(&mut self) {
        self.rows.iter_mut().for_each(|row| row.value = None);
        self.next = 0;
    }

    /// The readings of this beat.
    pub fn samples(&self) -> Vec<(SeriesRef, f64)> {
        self.rows.iter().filter_map(|row| Some((row.series, row.value?))).collect()
    }

    /// `seconds` have passed, in which the machine was awake; now it is `now` (ms since 1970 UTC).
    pub fn pass(&mut self, now: i64, seconds: f64) {
        let local = Timestamp::from_millisecond(now).expect("a time").to_zoned(self.zone.clone());
        let midnight = local.start_of_day().expect("a day").timestamp().as_millisecond();
        let hour = (now - midnight) as f64 / 3.6e6;
        let weekday = f64::from(local.weekday().to_monday_zero_offset());
        let calm = self.work(seconds, hour);
        self.memory(seconds, hour, calm.backup);
        self.disks(hour, weekday, &calm);
        self.network(seconds);
        self.services(now, seconds, hour, weekday);
    }
}

/// What the machine does at this beat.
struct Work {
    backup: bool,
    /// A person builds a program.
    build: bool,
}

/// The parts of a beat.
impl World {
    /// CPUs, load, waiting for disks, sensors.
    fn work(&mut self, seconds: f64, hour: f64) -> Work {
        let minute = hour.fract() * 60.0;
        let cron = minute < 2.0;
        let daily = (6.4..6.55).contains(&hour);
        let (backup, build) = ((2.0..3.6).contains(&hour), (15.0..15.4).contains(&hour));
        let day = 0.5 - 0.5 * ((hour - 3.0) / 24.0 * std::f64::consts::TAU).cos();
        self.noise = 0.9 * self.noise + 0.1 * (self.dice() - 0.5);
        let mut busy = 0.05 + 0.35 * day + 0.3 * self.noise;
        busy += 0.5 * f64::from(u8::from(cron || daily)) + 0.7 * f64::from(u8::from(backup));
        let busy = if build { 1.0 } else { busy.clamp(0.01, 0.98) };
        let cpus = self.kind.cpus as f64;
        // Of the backup: one reads, one packs, and the kernel writes.
        let waits = if backup { self.kind.backup_waits } else { 0.01 + 0.02 * self.dice() };
        let blocked = if backup { 1.0 + 3.0 * self.dice() } else { self.dice() * 1.2 };
        let mut wanted = busy * cpus + blocked;
        wanted += if daily { 2.5 * cpus } else { 0.0 } + if build { 2.0 * cpus } else { 0.0 };
        self.load5 += (wanted - self.load5) * (1.0 - (-seconds / 300.0).exp());
        let steal = if cron { 0.15 } else { 0.01 };
        for (counter, share) in self.cpu.iter_mut().zip([1.0 - busy, busy, waits * 0.5, steal]) {
            *counter += share * seconds;
        }
        const CPUS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        for cpu in &CPUS[..self.kind.cpus] {
            for (mode, value) in ["idle", "user", "iowait", "steal"].iter().zip(self.cpu) {
                self.put("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], value);
            }
        }
        let load5 = self.load5;
        self.put("node_load5", &[], load5);
        self.put("node_procs_blocked", &[], blocked.floor());
        self.put("node_boot_time_seconds", &[], self.booted);
        if self.kind.pressure {
            self.io_all += waits * seconds;
            let waited = self.io_all;
            self.put("node_pressure_io_stalled_seconds_total", &[], waited);
        }
        // A laptop's CPU runs up to its limit while it works, for a short time.
        let goal = if build { 88.0 } else { 42.0 + 30.0 * busy };
        self.heat += (goal - self.heat) * (1.0 - (-seconds / 60.0).exp());
        let turbo = if self.dice() < 0.02 { 96.0 - self.heat } else { 0.0 };
        let heat = self.heat + turbo.max(0.0) + self.dice();
        self.put("node_hwmon_temp_celsius", &[("chip", "coretemp"), ("sensor", "temp1")], heat);
        // Inputs with nothing connected to them: one says the same for ever, one what it likes.
        let floating = 118.0 + 8.0 * self.dice();
        self.put("node_hwmon_temp_celsius", &[("chip", "nct6775"), ("sensor", "temp4")], floating);
        self.put("node_hwmon_temp_celsius", &[("chip", "nct6775"), ("sensor", "temp5")], 127.0);
        self.put("node_hwmon_temp_celsius", &[("chip", "nct6775"), ("sensor", "temp6")], 65_261.8);
        Work { backup, build }
    }

    fn memory(&mut self, seconds: f64, hour: f64, backup: bool) {
        let day = 0.5 - 0.5 * ((hour - 3.0) / 24.0 * std::f64::consts::TAU).cos();
        // From four to half past five a job has nearly all of the memory for itself, and nothing waits.
        let job = (4.0..5.5).contains(&hour) && self.kind.pressure;
        let left = if job { 0.06 } else { 0.55 - 0.25 * day } + 0.02 * self.dice();
        self.put("node_memory_MemTotal_bytes", &[], self.kind.memory);
        self.put("node_memory_MemAvailable_bytes", &[], self.kind.memory * left);
        if self.kind.pressure {
            self.memory_some += seconds * if backup { 0.02 } else { 0.001 };
            self.memory_all += seconds * if backup { 0.01 } else { 0.000_5 };
            let (some, all) = (self.memory_some, self.memory_all);
            self.put("node_pressure_memory_waiting_seconds_total", &[], some);
            self.put("node_pressure_memory_stalled_seconds_total", &[], all);
        }
        let oom = self.oom;
        self.put("node_vmstat_oom_kill", &[], oom);
    }

    fn disks(&mut self, hour: f64, weekday: f64, work: &Work) {
        let week = weekday + hour / 24.0;
        for mount in &MOUNTS {
            let used = match mount.point {
                // A little more each day, logs of a day, what a build and an upgrade need meanwhile.
                "/" => {
                    let more = if work.build { 4e9 } else { 0.0 };
                    let packages = if self.upgrade > 0.0 { 1.5e9 } else { 0.0 };
                    62e9 + hour / 24.0 * 1.2e9 + more + packages
                }
                "/boot" => 0.62e9 + if self.upgrade > 0.0 { 0.15e9 } else { 0.0 },
                // Rotated on Sundays.
                "/var/log" => 5e9 + week / 7.0 * 9e9,
                // A backup more, then the oldest is deleted.
                "/backup" => 380e9 + if work.backup { 25e9 } else { 0.0 },
                // Nearly full by per cent, and yet there is much room.
                "/mnt/nas" => 7.5e12,
                "/run" => 1e7 + 1e6 * self.dice(),
                // In the port from nine to six on Saturdays.
                "/media/stick" if weekday != 5.0 || !(9.0..18.0).contains(&hour) => continue,
                "/media/stick" => 30e9 - 10e9 * (hour - 9.0).min(1.0),
                _ => mount.size,
            };
            self.mount(mount, mount.size - used, 0.0);
        }
    }

    /// The readings of a file system.
    fn mount(&mut self, mount: &Mount, left: f64, readonly: f64) {
        let Mount { point, device, fstype, size, inodes } = mount;
        let labels = [("device", *device), ("fstype", *fstype), ("mountpoint", *point)];
        // A twentieth is kept for root on ext4.
        let kept = if *fstype == "ext4" { size * 0.05 } else { 0.0 };
        let fixed = *fstype == "squashfs";
        self.put("node_filesystem_device_error", &labels, 0.0);
        self.put("node_filesystem_size_bytes", &labels, *size);
        self.put("node_filesystem_free_bytes", &labels, left);
        self.put("node_filesystem_avail_bytes", &labels, (left - kept).max(0.0));
        self.put("node_filesystem_files", &labels, *inodes);
        let free = if fixed { 0.0 } else { inodes * 0.6 };
        self.put("node_filesystem_files_free", &labels, free);
        self.put("node_filesystem_readonly", &labels, if fixed { 1.0 } else { readonly });
    }

    /// Another amount of space is left on a file system.
    pub fn left(&mut self, point: &str, left: f64) {
        let mount = MOUNTS.iter().find(|mount| mount.point == point).expect("a mount");
        let kept = if mount.fstype == "ext4" { mount.size * 0.05 } else { 0.0 };
        self.mount(mount, left + kept, 0.0);
    }

    /// Another reading of a file system.
    pub fn of_mount(&mut self, name: &'static str, point: &str, value: f64) {
        let Mount { point, device, fstype, .. } =
            MOUNTS.iter().find(|mount| mount.point == point).expect("a mount");
        self.put(name, &[("device", device), ("fstype", fstype), ("mountpoint", point)], value);
    }

    fn network(&mut self, seconds: f64) {
        if self.dice() < seconds / 10_800.0 {
            self.burst = 120.0;
        }
        self.burst = (self.burst - seconds).max(0.0);
        let rate = if self.burst > 0.0 { 80_000.0 } else { 200.0 };
        self.packets += rate * seconds;
        self.damaged += f64::from(u8::from(self.dice() < seconds / 7_200.0));
        self.wireless_damaged += 30.0 * seconds * self.dice();
        self.veth += seconds;
        let counters = [
            ("eth0", self.packets, self.damaged),
            ("lo", self.packets / 10.0, 0.0),
            // Radio loses much, and that is its nature.
            ("wlan0", self.packets / 20.0, self.wireless_damaged),
            // A container that is started again every twenty minutes.
            ("veth1", self.veth % 1_200.0, 0.0),
        ];
        for (device, packets, damaged) in counters {
            let labels = [("device", device)];
            self.put("node_network_receive_packets_total", &labels, packets);
            self.put("node_network_transmit_packets_total", &labels, packets * 0.8);
            self.put("node_network_receive_errs_total", &labels, damaged);
            self.put("node_network_transmit_errs_total", &labels, 0.0);
        }
        let entries = if self.burst > 0.0 { 0.9 } else { 0.1 + 0.05 * self.dice() };
        self.put("node_nf_conntrack_entries", &[], 262_144.0 * entries);
        self.put("node_nf_conntrack_entries_limit", &[], 262_144.0);
        let files = 3_000.0 + 1_000.0 * self.dice();
        self.put("node_filefd_allocated", &[], files);
        self.put("node_filefd_maximum", &[], 100_000.0);
    }

    fn services(&mut self, now: i64, seconds: f64, hour: f64, weekday: f64) {
        // On Wednesday mornings, packages are upgraded, and what they belong to is started again.
        let begins = weekday == 2.0 && (7.0..7.0 + seconds / 3_600.0).contains(&hour);
        if begins {
            self.upgrade = 240.0;
            self.upgraded += 2.0;
        }
        self.upgrade = (self.upgrade - seconds).max(0.0);
        if self.dice() < seconds / 43_200.0 {
            self.stumble = 240.0;
        }
        self.stumble = (self.stumble - seconds).max(0.0);
        let failed = |on: bool| f64::from(u8::from(on));
        for (unit, fails) in [("nginx.service", self.upgrade > 60.0), ("postgresql.service", false)]
        {
            let labels = [("name", unit), ("state", "failed")];
            self.put("node_systemd_unit_state", &labels, failed(fails));
            let restarts = self.upgraded;
            self.put("node_systemd_service_restart_total", &[("name", unit)], restarts);
        }
        for collector in ["filesystem", "hwmon", "munin"] {
            let fine = collector != "munin" || self.stumble == 0.0;
            self.put("plimsoll_collect_success", &[("collector", collector)], failed(fine));
        }
        // After a start the clock is not synchronised for some minutes.
        let up = (now / 1000) as f64 - self.booted;
        let synced = up > 400.0;
        self.put("node_timex_sync_status", &[], failed(synced));
        self.put("node_timex_maxerror_seconds", &[], if synced { 0.01 } else { 16.0 });
        // An array is put together at the start, and a pool is imported.
        let whole = up > 40.0;
        self.put("node_md_disks_required", &[("device", "md0")], 2.0);
        let active = if whole { 2.0 } else { 1.0 };
        self.put("node_md_disks", &[("device", "md0"), ("state", "active")], active);
        for state in ["online", "degraded", "faulted"] {
            let labels = [("state", state), ("zpool", "tank")];
            let on = state == if whole { "online" } else { "degraded" };
            self.put("node_zfs_zpool_state", &labels, failed(on));
        }
        self.put("smartmon_device_smart_healthy", &[("disk", "/dev/sda")], 1.0);
    }
}
