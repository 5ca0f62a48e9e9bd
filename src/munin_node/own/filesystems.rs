//! munin_node: `df` and `df_inode`: how full file systems are, a field each.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::put;
use crate::model::Series;
use crate::munin_node::picture::Picture;
use crate::wire::munin::clean_fields;

/// Types of file systems whose name comes from the mount point, because their device means nothing.
const NAMELESS: [&str; 4] = ["tmpfs", "none", "udev", "simfs"];
/// Further types that Debian's plugins leave out.
const NO_SPACE: [&str; 10] = [
    "none", "unknown", "rootfs", "iso9660", "squashfs", "udf", "romfs", "ramfs", "debugfs",
    "devtmpfs",
];
const NO_FILES: [&str; 11] = [
    "none", "unknown", "rootfs", "iso9660", "squashfs", "udf", "romfs", "ramfs", "debugfs", "vfat",
    "reiserfs",
];

fn is(name: &str) -> Option<bool> {
    match name {
        "df" => Some(false),
        "df_inode" => Some(true),
        _ => None,
    }
}

/// Mount point and used percent, by field. Of several mounts of one device the one nearest to the
/// root counts, as in df. Of two devices with equal names in Munin, that one keeps the name.
fn used(p: &Picture<'_>, inodes: bool) -> BTreeMap<String, (String, f64)> {
    let names = if inodes {
        ["node_filesystem_files", "node_filesystem_files_free", "node_filesystem_files_free"]
    } else {
        ["node_filesystem_size_bytes", "node_filesystem_free_bytes", "node_filesystem_avail_bytes"]
    };
    let left_out: &[&str] = if inodes { &NO_FILES } else { &NO_SPACE };
    let mut found: BTreeMap<String, (String, f64)> = BTreeMap::new();
    let [all, free, avail] = names
        .map(|name| p.each(name).map(|(s, v)| (s.identity.labels.clone(), v)).collect::<Vec<_>>());
    let of = |list: &[(crate::model::Labels, f64)], s: &crate::model::Labels| {
        list.iter().find(|(labels, _)| labels == s).map(|(_, v)| *v)
    };
    for (labels, all) in &all {
        let label = |name| labels.get(name).unwrap_or_default();
        let (device, mount, kind) = (label("device"), label("mountpoint"), label("fstype"));
        let (Some(free), Some(avail)) = (of(&free, labels), of(&avail, labels)) else { continue };
        if left_out.contains(&kind) || *all <= 0.0 || mount.is_empty() {
            continue;
        }
        let used = all - free;
        let percent = if used > 0.0 { used / (used + avail) * 100.0 } else { 0.0 };
        let source = if NAMELESS.contains(&device) { mount } else { device };
        match found.get(source) {
            Some((known, _)) if known.len() <= mount.len() => {}
            _ => drop(found.insert(source.to_owned(), (mount.to_owned(), percent))),
        }
    }
    let mut found: Vec<(String, (String, f64))> = found.into_iter().collect();
    found.sort_by(|(a, (at, _)), (b, (by, _))| (at.len(), at, a).cmp(&(by.len(), by, b)));
    let (sources, used): (Vec<String>, Vec<_>) = found.into_iter().unzip();
    fields(&sources).into_iter().zip(used).collect()
}

/// Cleans names as Munin does: several characters that cannot begin a name become one `_`.
fn fields(sources: &[String]) -> Vec<String> {
    let names = sources.iter().map(|text| {
        let rest = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic() && c != '_');
        let name = if rest.len() < text.len() { format!("_{rest}") } else { rest.to_owned() };
        match &*name {
            "root" => "__root".to_owned(),
            _ => name,
        }
    });
    let names: Vec<String> = names.collect();
    clean_fields(names.iter().zip(sources).map(|(name, text)| (&**name, &**text)))
}

fn there(p: &Picture<'_>, name: &str) -> bool {
    let has = |of: &str| p.each(of).any(|(_, v): (&Series, f64)| v > 0.0);
    match is(name) {
        Some(false) => has("node_filesystem_size_bytes"),
        Some(true) => has("node_filesystem_files"),
        None => false,
    }
}

pub(super) fn names(p: &Picture<'_>, out: &mut Vec<String>) {
    out.extend(["df", "df_inode"].into_iter().filter(|n| there(p, n)).map(str::to_owned));
}

pub(super) fn config(p: &Picture<'_>, name: &str, out: &mut String) -> bool {
    let Some(inodes) = is(name).filter(|_| there(p, name)) else { return false };
    let what = if inodes { "Inode" } else { "Disk" };
    let _unused = writeln!(
        out,
        "graph_title {what} usage in percent\ngraph_args --upper-limit 100 -l 0\ngraph_vlabel %\n\
         graph_scale no\ngraph_category disk"
    );
    for (field, (mount, _)) in used(p, inodes) {
        let mount: String = mount.chars().filter(|c| !c.is_control()).collect();
        let _unused =
            writeln!(out, "{field}.label {mount}\n{field}.warning 92\n{field}.critical 98");
    }
    true
}

pub(super) fn values(p: &Picture<'_>, name: &str, out: &mut String) -> bool {
    let Some(inodes) = is(name).filter(|_| there(p, name)) else { return false };
    for (field, (_, percent)) in used(p, inodes) {
        put(out, &field, percent, false);
    }
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_as_munin_cleans_them() {
        for (text, name) in [
            ("/dev/sda1", "_dev_sda1"),
            ("//server/share", "_server_share"),
            ("/", "_"),
            ("/run/user/1000", "_run_user_1000"),
            ("root", "__root"),
            ("rpool/ROOT", "rpool_ROOT"),
            ("192.0.2.1:/x", "_x"),
        ] {
            assert_eq!(super::fields(&[text.to_owned()]), [name], "{text}");
        }
        // Two servers, one share: each has a name, and keeps it.
        let two = ["192.0.2.1:/x", "192.0.2.2:/x"].map(str::to_owned);
        let names = super::fields(&two);
        assert_eq!((&*names[0], names[1].len()), ("_x", "_x_0000".len()));
        assert_eq!(super::fields(&two), names);
    }
}
