//! The page in a browser: Node drives Debian's Chromium against the real binary; what it looks at
//! stands in `dashboard/test/all.mjs`.

use std::path::Path;

use crate::support::*;

/// Copies what a build of the page needs, so that nothing is put into the source tree.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if ["node_modules", "build", "dist"].iter().any(|n| name == *n) {
            continue;
        }
        let to = to.join(&name);
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("copied");
        }
    }
}

#[test]
fn alone_the_page_does_what_it_promises_in_a_browser() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
    let lock = std::fs::read(sources.join("package-lock.json")).expect("the lock file");
    let name = format!("npm-page-{:08x}", crc32fast::hash(&lock));
    let folder = once(&name, |folder| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(sources.join(file), folder.join(file)).expect("copied");
        }
        let words = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
        installs(tool("npm", "npm").args(words).arg(folder));
    });
    for stale in ["src", "test"] {
        if folder.join(stale).exists() {
            std::fs::remove_dir_all(folder.join(stale)).expect("removed");
        }
    }
    copy(&sources, &folder);
    let temporary = Folder::new();
    // It has deadlines of its own, for each step.
    let said = tool("node", "nodejs")
        .arg(folder.join("test/all.mjs"))
        .env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS)
        .env("PLIMSOLL", env!("CARGO_BIN_EXE_plimsoll"))
        .env("CHROMIUM", "/usr/bin/chromium")
        .env("DIST", sources.join("dist"))
        .env("PAGE_TMP", temporary.path())
        .output()
        .expect("node runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said.status.success(), "{}\n{}", text(&said.stdout), text(&said.stderr));
}
