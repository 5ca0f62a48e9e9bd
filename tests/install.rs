//! tests: `plimsoll install` and `uninstall` in a directory, what they would do to a machine, and
//! the unit before systemd's own judges. No command of the system is run but systemd-analyze.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll::cli::service::{BINARY, CONFIG, Machine, STATE, UNIT, UNIT_PATH};
use plimsoll::cli::{install, uninstall};
use plimsoll::config::SAMPLE;

/// The agreed upper bound; docs say what the peers have.
const EXPOSURE: f64 = 1.6;

struct Place {
    _dir: tempfile::TempDir,
    machine: Machine,
}

/// An empty machine and a binary beside it.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let exe = dir.path().join("download").join("plimsoll");
    fs::create_dir_all(exe.parent().unwrap()).unwrap();
    fs::write(&exe, "version 1").unwrap();
    let machine = Machine {
        root: dir.path().join("root"),
        commands: false,
        exe,
        is_root: true,
        systemd: true,
        user: true,
    };
    Place { _dir: dir, machine }
}

impl Place {
    fn try_install(&self, dry_run: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        install::install(&self.machine, dry_run, &mut out)?;
        Ok(self.relative(&String::from_utf8(out)?))
    }

    fn try_uninstall(&self, purge: bool, dry_run: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        uninstall::uninstall(&self.machine, purge, dry_run, &mut out)?;
        Ok(self.relative(&String::from_utf8(out)?))
    }

    fn install(&self) -> String {
        self.try_install(false).unwrap()
    }

    fn uninstall(&self, purge: bool) -> String {
        self.try_uninstall(purge, false).unwrap()
    }

    /// What a reader sees on a real machine.
    fn relative(&self, text: &str) -> String {
        let exe = self.machine.exe.display().to_string();
        let root = format!("{}/", self.machine.root.display());
        text.replace(&exe, "./plimsoll").replace(&root, "/")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.machine.at(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.machine.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.machine.at(path)).unwrap().permissions().mode() & 0o7777
    }

    /// Every file there is.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => walk(&path, found),
                    path => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.machine.root, &mut found);
        let mut found: Vec<String> =
            found.iter().map(|p| self.relative(&p.display().to_string())).collect();
        found.sort();
        found
    }
}

#[test]
fn a_first_install_puts_three_files_in_place() {
    let place = place();
    let said = place.install();
    assert_eq!(place.files(), [CONFIG, UNIT_PATH, BINARY]);
    assert_eq!(place.read(BINARY), "version 1");
    assert_eq!(place.read(CONFIG), SAMPLE);
    assert_eq!(place.read(UNIT_PATH), UNIT);
    assert_eq!([BINARY, CONFIG, UNIT_PATH].map(|p| place.mode(p)), [0o755, 0o644, 0o644]);
    assert_eq!(
        said,
        "Copy ./plimsoll to /usr/local/bin/plimsoll\n\
         Write /etc/plimsoll/plimsoll.toml\n\
         Write /etc/systemd/system/plimsoll.service\n\
         No command was run, as this is not the running system. There, it takes the user plimsoll \
         and: systemctl enable --now plimsoll.service\n"
    );
}

#[test]
fn the_next_install_brings_it_up_to_date_and_keeps_the_configuration() {
    let place = place();
    place.install();
    place.write(CONFIG, "interval = \"1m\"\n");
    place.write(UNIT_PATH, "an old unit");
    fs::set_permissions(place.machine.at(BINARY), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&place.machine.exe, "version 2").unwrap();
    let said = place.install();
    assert_eq!(place.read(BINARY), "version 2");
    assert_eq!(place.mode(BINARY), 0o755);
    assert_eq!(place.read(UNIT_PATH), UNIT);
    assert_eq!(place.read(CONFIG), "interval = \"1m\"\n");
    assert!(said.contains("The configuration stays as it is: /etc/plimsoll/plimsoll.toml."));
    assert_eq!(place.files().len(), 3, "{:?}", place.files());
}

#[test]
fn the_installed_binary_can_install_itself() {
    let mut place = place();
    place.install();
    place.machine.exe = place.machine.at(BINARY);
    assert!(place.install().starts_with("The binary is already in place"));
    assert_eq!(place.read(BINARY), "version 1");
}

#[test]
fn a_wrong_configuration_stops_the_install_before_anything_is_changed() {
    let place = place();
    place.write(CONFIG, "intervall = \"1m\"\n");
    let said = place.try_install(false).unwrap_err().to_string();
    assert!(said.contains("unknown key `intervall`"), "{said}");
    assert!(said.contains("did you mean `interval`?"), "{said}");
    assert!(said.ends_with("Nothing was changed; correct the file and install again."), "{said}");
    assert_eq!(place.files(), [CONFIG]);
}

#[test]
fn a_dry_run_shows_all_and_touches_nothing() {
    let mut place = place();
    place.machine.commands = true;
    place.machine.user = false;
    place.machine.is_root = false;
    let said = place.try_install(true).unwrap();
    let (steps, unit) =
        said.split_once("\nThe unit, for /etc/systemd/system/plimsoll.service:\n\n").unwrap();
    assert_eq!(
        steps,
        "Would create the system user plimsoll: useradd --system --user-group --home-dir \
         /var/lib/plimsoll --no-create-home --shell /usr/sbin/nologin plimsoll\n\
         Would copy ./plimsoll to /usr/local/bin/plimsoll\n\
         Would write /etc/plimsoll/plimsoll.toml\n\
         Would write /etc/systemd/system/plimsoll.service\n\
         Would let systemd read the unit: systemctl daemon-reload\n\
         Would start it at every boot: systemctl enable plimsoll.service\n\
         Would start it now: systemctl restart plimsoll.service\n\
         \n\
         plimsoll runs: the page is on http://127.0.0.1:1876/, the data in \
         /var/lib/plimsoll/metrics.sqlite.\n\
         To read the data as yourself, join its group: sudo usermod -aG plimsoll YOU\n"
    );
    assert_eq!(unit.trim_end(), UNIT.trim_end());
    assert!(place.files().is_empty());
}

#[test]
fn without_systemd_it_says_how_to_run_it() {
    let mut place = place();
    place.machine.systemd = false;
    let said = place.install();
    assert!(said.contains("systemd does not run this machine"), "{said}");
    assert!(said.contains("/usr/local/bin/plimsoll run --db /var/lib/plimsoll/metrics.sqlite"));
    assert_eq!(place.files(), [CONFIG, BINARY]);

    place.machine.commands = true;
    let said = place.try_install(true).unwrap();
    assert!(said.contains("install -d -m 0750 -o plimsoll -g plimsoll /var/lib/plimsoll\n"));
}

#[test]
fn who_is_not_root_hears_what_to_type() {
    let mut place = place();
    place.machine.is_root = false;
    let said = place.relative(&place.try_install(false).unwrap_err().to_string());
    assert_eq!(said, "root is needed to install the service: sudo ./plimsoll install");
    place.machine.exe = BINARY.into();
    let said = place.try_uninstall(false, false).unwrap_err().to_string();
    assert_eq!(said, "root is needed to uninstall the service: sudo plimsoll uninstall");
    assert!(place.files().is_empty());
}

#[test]
fn a_package_s_files_are_left_to_the_package_manager() {
    let place = place();
    place.write("/usr/lib/systemd/system/plimsoll.service", "");
    let said = place.try_install(false).unwrap_err().to_string();
    assert!(said.contains("sudo apt install --only-upgrade plimsoll"), "{said}");
    let said = place.try_uninstall(true, false).unwrap_err().to_string();
    assert!(said.contains("sudo apt remove plimsoll"), "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let place = place();
    // A file where a directory is needed, so that root fails too.
    place.write("/usr/local/bin", "");
    let said = format!("{:#}", place.try_install(false).unwrap_err());
    assert!(said.contains("cannot write"), "{said}");
    assert!(said.contains("/usr/local/bin/plimsoll; is the disk full"), "{said}");
}

#[test]
fn uninstall_keeps_what_was_measured_and_says_where() {
    let place = place();
    place.install();
    let db = format!("{STATE}/metrics.sqlite");
    place.write(&db, "rows");
    let said = place.uninstall(false);
    assert_eq!(place.files(), [CONFIG, &db]);
    assert_eq!(
        said,
        "Remove /etc/systemd/system/plimsoll.service\n\
         Remove /usr/local/bin/plimsoll\n\
         \n\
         Still there: /var/lib/plimsoll, /etc/plimsoll. To remove it, too: plimsoll uninstall \
         --purge\n"
    );
    let again = place.uninstall(false);
    assert!(again.starts_with("plimsoll is not installed here"), "{again}");
    assert_eq!(place.files(), [CONFIG, &db]);
}

#[test]
fn purge_leaves_nothing_but_a_database_put_elsewhere() {
    let place = place();
    place.install();
    place.write(CONFIG, "db = \"/srv/metrics.sqlite\"\n");
    place.write(&format!("{STATE}/metrics.sqlite"), "rows");
    place.write("/srv/metrics.sqlite", "rows");
    place.write("/etc/systemd/system/plimsoll.service.d/override.conf", "[Service]");
    let said = place.uninstall(true);
    assert_eq!(place.files(), ["/srv/metrics.sqlite"]);
    assert!(said.contains("Remove /var/lib/plimsoll\nRemove /etc/plimsoll\n"), "{said}");
    assert!(said.contains("The database /srv/metrics.sqlite stays"), "{said}");
}

#[test]
fn purge_works_with_a_wrong_configuration() {
    let place = place();
    place.install();
    place.write(CONFIG, "not toml at all");
    place.uninstall(true);
    assert!(place.files().is_empty());
}

#[test]
fn uninstall_stops_the_service_before_it_removes_the_unit() {
    let mut place = place();
    place.install();
    place.machine.commands = true;
    let before = place.files();
    let said = place.try_uninstall(true, true).unwrap();
    assert_eq!(
        said,
        "Would stop it, now and at every boot: systemctl disable --now plimsoll.service\n\
         Would remove /etc/systemd/system/plimsoll.service\n\
         Would let systemd forget the unit: systemctl daemon-reload\n\
         Would remove /usr/local/bin/plimsoll\n\
         Would remove /etc/plimsoll\n\
         Would remove the system user plimsoll: userdel plimsoll\n"
    );
    assert_eq!(place.files(), before);
}

fn systemd_analyze(args: &[&str]) -> Output {
    Command::new("systemd-analyze")
        .args(args)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .expect("systemd-analyze is missing: apt-get install -y systemd")
}

fn unit_file(dir: &Path, text: &str) -> String {
    let path = dir.join("plimsoll.service");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_unit_is_hardened() {
    is_rated(UNIT, EXPOSURE);
}

#[test]
fn the_unit_whose_plugins_become_other_users_is_hardened() {
    let more = include_str!("../contrib/systemd/plugins.conf");
    is_rated(&format!("{UNIT}\n{more}"), 2.5);
}

fn is_rated(text: &str, most: f64) {
    let dir = tempfile::tempdir().unwrap();
    let unit = unit_file(dir.path(), text);
    let out = systemd_analyze(&["security", "--offline=true", "--no-pager", &unit]);
    let said = String::from_utf8_lossy(&out.stdout);
    // A directive that systemd does not know does not protect.
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    let level = said
        .split("Overall exposure level for plimsoll.service:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no level in:\n{said}"));
    assert!(level.parse::<f64>().unwrap() <= most, "exposure {level}:\n{said}");
}

#[test]
fn the_unit_is_one_systemd_accepts() {
    let dir = tempfile::tempdir().unwrap();
    // The binary is not installed where the tests run; everything else is as it is.
    let text = UNIT.replace(BINARY, "/bin/true").replace("Documentation=man:plimsoll(1)\n", "");
    let unit = unit_file(dir.path(), &text);
    let out = systemd_analyze(&["verify", "--recursive-errors=no", &unit]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !said.contains("plimsoll"), "{said}");
}

#[test]
fn the_unit_lets_it_measure() {
    let has = |line: &str| UNIT.lines().any(|l| l == line);
    for needed in [
        "ExecStart=/usr/local/bin/plimsoll run",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ProtectHome=read-only",
        "ProtectProc=default",
        "Type=notify",
        "Restart=always",
        "WatchdogSec=60",
        "StateDirectory=plimsoll",
    ] {
        assert!(has(needed), "{needed}");
    }
    for harmful in ["PrivateNetwork=yes", "ProcSubset=pid", "ProtectHome=yes", "DynamicUser=yes"] {
        assert!(!has(harmful), "{harmful}");
    }
}
