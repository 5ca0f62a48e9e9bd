//! collect: the mount table. Text of /proc/PID/mountinfo in, the mounts to watch out; asks no
//! file system anything.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::exclude;
use super::super::scan::{Odd, integer, name, numbered};
use super::Options;
use crate::model::Glob;

/// File systems of this machine's own disks and memory, which know their figures without asking
/// anybody. Of all others one must expect that an answer never comes.
const LOCAL_TYPES: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "hfsplus", "jfs",
    "minix", "msdos", "nilfs2", "ntfs3", "ramfs", "reiserfs", "rootfs", "tmpfs", "udf", "ufs",
    "vfat", "xfs", "zfs", "zonefs",
];

/// A path to ask, and how.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The number of the topmost mount there; another number is another mount.
    pub id: u64,
    /// The mount point below the root, as passed to the kernel.
    pub path: CString,
    /// The mount point, for output.
    pub point: Box<str>,
    /// Whether the question may never be answered.
    pub may_hang: bool,
}

/// A mount as it is reported. Two may share a target: both are mounted on one point, and the
/// figures are those of the upper one.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// Index into the targets.
    pub target: usize,
    /// The mounted device, as the kernel writes it.
    pub device: Box<str>,
    /// The type of file system.
    pub fstype: Box<str>,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// The mounts to watch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The targets to ask, in the order of their first mounts.
    pub targets: Vec<Target>,
    /// The mounts to report.
    pub mounts: Vec<Mount>,
}

/// The process whose mount table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The machine's, as its first process sees it.
    Machine,
    /// That of this process, whose service manager may have made everything read-only for it.
    Own,
}

#[derive(Debug)]
struct Row<'a> {
    id: u64,
    point: Cow<'a, [u8]>,
    options: &'a [u8],
    fstype: &'a [u8],
    device: &'a [u8],
    super_options: &'a [u8],
}

/// Parses `36 35 98:0 /inside /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`;
/// there may be any number of words before the dash. A device without a name leaves two spaces.
fn row(line: &[u8]) -> Option<Row<'_>> {
    let mut fields = line.split(|b| *b == b' ');
    let id = integer(fields.next()?)?;
    let point = unescape(fields.nth(3)?);
    let options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let (fstype, device, super_options) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Row { id, point, options, fstype, device, super_options })
}

/// Space, tab, newline and backslash come as `\040`, `\011`, `\012` and `\134`.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    Cow::Owned(out)
}

fn has_option(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|b| *b == b',').any(|option| option == wanted)
}

impl Row<'_> {
    /// Read-only by the mount's own option, by the file system's, or (ext4 since 6.15) because the
    /// file system has met an error.
    fn read_only(&self, view: View) -> bool {
        (view == View::Machine && has_option(self.options, b"ro"))
            || has_option(self.super_options, b"ro")
            || has_option(self.super_options, b"emergency_ro")
    }

    fn may_hang(&self) -> bool {
        let fstype = name(self.fstype);
        let local = LOCAL_TYPES.binary_search(&&*fstype).is_ok();
        !local && (fstype == "autofs" || !exclude::pseudo_type(&fstype))
    }

    /// Its mount point without the slash at its end: nothing for `/`.
    fn stem(&self) -> &[u8] {
        self.point.strip_suffix(b"/").unwrap_or(&self.point)
    }
}

/// The mount points that the way to `point` leads through, without slashes at their ends.
fn above(point: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = (0..point.len()).filter(|at| point[*at] == b'/' && at + 1 < point.len());
    slashes.map(|at| &point[..at])
}

/// Whether this mount is wanted. A mount point that is named without `*` and `?` is watched even if
/// the built-in lists exclude its type: in a container, `/` itself is an overlay.
fn wanted(options: &Options, point: &str, fstype: &str) -> bool {
    if exclude::any(&options.exclude_mounts, point) || exclude::any(&options.exclude_types, fstype)
    {
        return false;
    }
    let named = |glob: &Glob| !glob.as_str().contains(['*', '?']) && glob.as_str() == point;
    if options.mounts.iter().any(named) {
        return true;
    }
    (options.mounts.is_empty() || exclude::any(&options.mounts, point))
        && !exclude::system_mount(point)
        && !exclude::pseudo_type(fstype)
}

/// Chooses the mounts to watch. Of two with the same device, point and type the upper one counts,
/// as it is the one that answers. A line that is odd costs itself, and is handed to `odd` with its
/// number. The time it takes grows evenly with the table: a host of containers has thousands.
pub fn select(
    text: &[u8],
    view: View,
    root: &Path,
    options: &Options,
    mut odd: impl FnMut(usize, Odd),
) -> Result<Table, Odd> {
    let mut all = Vec::new();
    let mut first = None;
    for (number, line) in numbered(text) {
        match row(line) {
            Some(row) => all.push(row),
            None => {
                let what = Odd::new("no mount", line);
                first.get_or_insert_with(|| what.clone());
                odd(number, what);
            }
        }
    }
    if let (true, Some(odd)) = (all.is_empty(), first) {
        return Err(odd);
    }
    let hanging: HashSet<&[u8]> = all.iter().filter(|r| r.may_hang()).map(Row::stem).collect();
    let mut table = Table::default();
    let mut targets: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut mounts = HashMap::new();
    for row in &all {
        let (label, fstype, device) = (name(&row.point), name(row.fstype), name(row.device));
        if !wanted(options, &label, &fstype) {
            continue;
        }
        let target = match targets.get(&label) {
            Some(known) => *known,
            None => {
                let root = root.as_os_str().as_bytes();
                let root = root.strip_suffix(b"/").unwrap_or(root);
                // The kernel writes no zero byte; a saved table may have one.
                let Ok(path) = CString::new([root, &row.point].concat()) else { continue };
                table.targets.push(Target {
                    id: row.id,
                    path,
                    point: label.as_ref().into(),
                    may_hang: false,
                });
                targets.insert(label, table.targets.len() - 1);
                table.targets.len() - 1
            }
        };
        // Below a mount that hangs, even a local one is out of reach.
        let out_of_reach = || above(&row.point).any(|point| hanging.contains(point));
        table.targets[target].id = row.id;
        table.targets[target].may_hang = row.may_hang() || out_of_reach();
        let read_only = row.read_only(view);
        match mounts.entry((target, row.device, row.fstype)) {
            Entry::Occupied(known) => {
                let at: usize = *known.get();
                table.mounts[at].read_only = read_only;
            }
            Entry::Vacant(new) => {
                new.insert(table.mounts.len());
                table.mounts.push(Mount {
                    target,
                    device: device.as_ref().into(),
                    fstype: fstype.as_ref().into(),
                    read_only,
                });
            }
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
23 21 0:30 / /mnt/a\\040b\\134c ro,x shared:2 master:3 - nfs4 srv:/a\\040b rw,addr=1
24 23 8:2 / /mnt/a\\040b\\134c/local rw - ext4 /dev/sda2 ro
25 21 0:40 / /over rw - overlay overlay rw
";

    #[test]
    fn types_are_sorted() {
        assert!(LOCAL_TYPES.is_sorted());
    }

    #[test]
    fn real_mounts_and_how_they_are_asked() {
        let (root, options) = (Path::new("/host/"), Options::default());
        let table =
            select(PLAIN.as_bytes(), View::Machine, root, &options, |_, odd| panic!("{odd:?}"))
                .unwrap();
        let seen: Vec<_> = table
            .mounts
            .iter()
            .map(|m| {
                let t = &table.targets[m.target];
                (&*m.device, t.path.to_str().unwrap(), &*t.point, t.may_hang, m.read_only)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("/dev/sda1", "/host/", "/", false, false),
                ("srv:/a\\040b", "/host/mnt/a b\\c", "/mnt/a b\\c", true, true),
                ("/dev/sda2", "/host/mnt/a b\\c/local", "/mnt/a b\\c/local", true, true),
            ]
        );
    }

    #[test]
    fn in_a_sandbox_only_the_file_system_s_own_state_counts() {
        let text = b"1 0 8:1 / / ro - ext4 /dev/a rw\n2 1 8:2 / /b rw - xfs /dev/b ro\n\
            3 1 8:3 / /c rw - ext4 /dev/c rw,emergency_ro\n";
        let read_only = |view| {
            let table =
                select(text, view, Path::new("/"), &Options::default(), |_, odd| panic!("{odd:?}"))
                    .unwrap();
            table.mounts.iter().map(|m| m.read_only).collect::<Vec<_>>()
        };
        assert_eq!(read_only(View::Machine), [true, true, true]);
        assert_eq!(read_only(View::Own), [false, true, true]);
    }

    #[test]
    fn the_user_s_choice() {
        let globs = |list: &[&str]| list.iter().map(|g| Glob::new(g)).collect::<Vec<_>>();
        let chosen = |mounts: &[&str], out: &[&str], types: &[&str]| -> Vec<String> {
            let options = Options {
                mounts: globs(mounts),
                exclude_mounts: globs(out),
                exclude_types: globs(types),
            };
            let table =
                select(PLAIN.as_bytes(), View::Machine, Path::new("/"), &options, |_, odd| {
                    panic!("{odd:?}")
                })
                .unwrap();
            table.targets.iter().map(|t| t.point.to_string()).collect()
        };
        assert_eq!(chosen(&["/over"], &[], &[]), ["/over"]);
        assert_eq!(chosen(&["/*"], &["/mnt/*"], &[]), ["/"]);
        assert_eq!(chosen(&[], &[], &["nfs*"]), ["/", "/mnt/a b\\c/local"]);
        assert_eq!(chosen(&["/over"], &["/over"], &[]), [""; 0]);
    }

    #[test]
    fn mounted_twice() {
        let text = b"5 1 8:1 / /d rw - ext4 /dev/a rw\n6 5 8:1 / /d ro - ext4 /dev/a rw\n\
            7 6 0:9 / /d rw - nfs srv:/ rw\n";
        let table = select(text, View::Machine, Path::new("/"), &Options::default(), |_, odd| {
            panic!("{odd:?}")
        })
        .unwrap();
        assert_eq!(table.targets.len(), 1);
        assert!(table.targets[0].id == 7 && table.targets[0].may_hang);
        let mounts: Vec<_> = table.mounts.iter().map(|m| (&*m.device, m.read_only)).collect();
        assert_eq!(mounts, [("/dev/a", true), ("srv:/", false)]);
    }

    #[test]
    fn a_device_without_name() {
        let text = b"5 1 0:1 / /t rw - tmpfs  rw,size=4k\n";
        let table = select(text, View::Machine, Path::new("/"), &Options::default(), |_, odd| {
            panic!("{odd:?}")
        })
        .unwrap();
        assert_eq!((&*table.mounts[0].device, &*table.mounts[0].fstype), ("", "tmpfs"));
    }

    #[test]
    fn an_odd_line_costs_itself() {
        let text = b"5 1 8:1 / / rw - ext4 /dev/a rw\nx\n7 5 8:2 / /b rw - ext4 /dev/b rw\n";
        let mut odd = Vec::new();
        let table = select(text, View::Machine, Path::new("/"), &Options::default(), |at, what| {
            odd.push((at, what))
        });
        let table = table.unwrap();
        let points: Vec<_> = table.targets.iter().map(|t| &*t.point).collect();
        assert_eq!((points, odd), (vec!["/", "/b"], vec![(2, Odd::new("no mount", b"x"))]));
        assert!(
            select(b"x\ny\n", View::Machine, Path::new("/"), &Options::default(), |_, _| {})
                .is_err()
        );
    }

    #[test]
    fn the_way_to_a_mount_point() {
        let all = |point| above(point).collect::<Vec<_>>();
        assert_eq!(all(b"/a/bc/d"), [&b""[..], b"/a", b"/a/bc"]);
        assert_eq!((all(b"/a"), all(b"/")), (vec![&b""[..]], vec![]));
    }

    #[test]
    fn escapes() {
        assert_eq!(&*unescape(b"\\040\\1\\777\\011x\\"), b" \\1\\777\tx\\");
    }

    #[test]
    fn garbage() {
        super::super::super::scan::tests::survives(PLAIN.as_bytes(), |text| {
            let _ = select(text, View::Own, Path::new("/"), &Options::default(), |_, _| {});
        });
    }
}
