//! plugin: the user of a plugin. Names are looked up in /etc/passwd and /etc/group, because the C
//! library would load the modules of nsswitch.conf into the daemon.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Gid, Uid};

/// A user that a process can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name, for messages and for the plugin's state folder.
    pub name: String,
    /// User, group and further groups to switch to; `None` keeps those of plimsoll.
    pub(super) switch: Option<(Uid, Gid, Vec<Gid>)>,
    /// The user that was asked for, if plimsoll cannot become it.
    pub wanted: Option<String>,
    /// Whether this is the default user, which gets no further rights, not even through a program
    /// with the setuid bit.
    pub(super) is_default: bool,
}

impl Account {
    /// The account of a plugin: `user` and `groups` of its settings, or `default` if they name none
    /// and plimsoll may switch. If it may not, [`Account::wanted`] says so. An error names a user
    /// or group that does not exist here.
    pub(super) fn resolve(
        user: Option<&str>,
        groups: Option<&[(String, bool)]>,
        default: &str,
    ) -> Result<Self, String> {
        let own = rustix::process::geteuid();
        let passwd = text_of("/etc/passwd");
        let name_of = |uid: Uid| {
            let line = lines(&passwd).find(|l| l.get(2) == Some(&&*uid.as_raw().to_string()));
            line.map_or_else(|| uid.as_raw().to_string(), |l| l[0].to_owned())
        };
        if !may_switch() {
            let name = name_of(own);
            let wanted = user.filter(|u| *u != name && *u != own.as_raw().to_string());
            let wanted = wanted.map(str::to_owned);
            return Ok(Self { name, switch: None, wanted, is_default: false });
        }
        let is_default = user.is_none();
        let user = user.unwrap_or(default);
        let (name, uid, gid) = find_user(&passwd, user)
            .ok_or_else(|| format!("there is no user `{user}` in /etc/passwd"))?;
        let file = text_of("/etc/group");
        let mut gids = Vec::new();
        for (group, optional) in groups.unwrap_or_default() {
            match find_group(&file, group) {
                Some(gid) => gids.push(gid),
                None if *optional => {}
                None => return Err(format!("there is no group `{group}` in /etc/group")),
            }
        }
        let gid = gids.first().copied().unwrap_or(gid);
        Ok(Self { name, switch: Some((uid, gid, gids)), wanted: None, is_default })
    }

    /// The first folder on the way to `path` that this user may not enter, as far as the modes say.
    pub(super) fn stopped_at<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let (uid, gid, gids) = self.switch.as_ref().filter(|(uid, ..)| !uid.is_root())?;
        let closed = |folder: &&Path| {
            std::fs::metadata(folder).is_ok_and(|m| {
                let mine = |g: &Gid| g.as_raw() == m.gid();
                let bit = match () {
                    () if uid.as_raw() == m.uid() => 0o100,
                    () if mine(gid) || gids.iter().any(mine) => 0o010,
                    () => 0o001,
                };
                m.mode() & bit == 0
            })
        };
        path.ancestors().filter(closed).last()
    }
}

/// Whether this process may become another user: as root, or by the capabilities that
/// contrib/systemd/plugins.conf gives (CAP_SETGID and CAP_SETUID).
pub(super) fn may_switch() -> bool {
    const BOTH: u64 = 1 << 6 | 1 << 7;
    let status = text_of("/proc/thread-self/status");
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let held = line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok());
    held.is_some_and(|held| held & BOTH == BOTH)
}

/// The text of a file; empty if it cannot be read. Bytes that are not text are replaced, so a name
/// in Latin-1 does not hide the other accounts.
fn text_of(path: impl AsRef<Path>) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The fields of each line.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(':').collect())
}

fn find_user(passwd: &str, user: &str) -> Option<(String, Uid, Gid)> {
    let line = lines(passwd).find(|l| l[0] == user || l.get(2) == Some(&user));
    match line {
        Some(line) => {
            let uid = line.get(2)?.parse().ok()?;
            let gid = line.get(3)?.parse().ok()?;
            Some((line[0].to_owned(), Uid::from_raw(uid), Gid::from_raw(gid)))
        }
        None => {
            let number: u32 = user.parse().ok().filter(|n| *n != u32::MAX)?;
            Some((user.to_owned(), Uid::from_raw(number), Gid::from_raw(number)))
        }
    }
}

fn find_group(text: &str, group: &str) -> Option<Gid> {
    let line = lines(text).find(|l| l[0] == group);
    let number = line.as_ref().and_then(|l| l.get(2).copied()).unwrap_or(group);
    number.parse().ok().filter(|n| *n != u32::MAX).map(Gid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# no\nmunin:x:107:114::/x:/bin/false\n";
        let found = |u: &str| find_user(passwd, u).map(|(n, u, g)| (n, u.as_raw(), g.as_raw()));
        assert_eq!(found("munin"), Some(("munin".into(), 107, 114)));
        assert_eq!(found("107"), Some(("munin".into(), 107, 114)));
        assert_eq!(found("4000"), Some(("4000".into(), 4000, 4000)));
        assert_eq!(found("who"), None);
        assert_eq!(found("4294967295"), None, "that is nobody at all");
        let group = "adm:x:4:syslog\n";
        assert_eq!(find_group(group, "adm").map(|g| g.as_raw()), Some(4));
        assert_eq!(find_group(group, "12").map(|g| g.as_raw()), Some(12));
        assert_eq!(find_group(group, "none"), None);
    }

    #[test]
    fn a_name_in_another_encoding_costs_no_account() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("passwd");
        let passwd = b"jm:x:1000:1000:J\xfcrgen M\xfcller:/home/jm:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        std::fs::write(&path, passwd).expect("written");
        let text = text_of(&path);
        assert!(find_user(&text, "nobody").is_some() && find_user(&text, "jm").is_some());
    }

    #[test]
    fn a_folder_that_keeps_others_out() {
        use std::fs::{Permissions, create_dir, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let home = dir.path().join("home");
        let state = home.join("plugin-state/nobody");
        create_dir(&home).expect("made");
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let account = |uid, gid| Account {
            is_default: false,
            name: "some".into(),
            switch: Some((Uid::from_raw(uid), Gid::from_raw(gid), Vec::new())),
            wanted: None,
        };
        let (stranger, friend) = (account(uid + 1, gid + 1), account(uid + 1, gid));
        set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("set");
        for (mode, to_stranger, to_friend) in
            [(0o755, true, true), (0o750, false, true), (0o700, false, false)]
        {
            set_permissions(&home, Permissions::from_mode(mode)).expect("set");
            let enters = |who: &Account| who.stopped_at(&state) != Some(&*home);
            assert_eq!((enters(&stranger), enters(&friend)), (to_stranger, to_friend), "{mode:o}");
            assert_eq!(account(uid, gid).stopped_at(&state), None);
        }
        let same = Account { switch: None, ..stranger };
        assert_eq!(same.stopped_at(&state), None, "it stays who plimsoll is");
    }
}
