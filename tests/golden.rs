//! tests: the real binary over whole fixture machines prints what tests/machines.rs holds the
//! collectors to: the same golden files, so that command line, configuration and wiring lose nothing.

use std::path::Path;
use std::process::Command;

/// These ask the kernel itself, so that a fixture has no golden answer for them.
const ASK_THE_KERNEL: [&str; 3] = ["filesystem", "time", "uname"];

fn collect(machine: &str, words: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/machines").join(machine);
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("collect").arg("--proc").arg(root.join("proc"));
    command.arg("--sys").arg(root.join("sys")).arg("--root").arg(&root).args(words);
    let output = command.output().expect("the binary runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.is_empty(), "{machine} {words:?}: {err}");
    String::from_utf8(output.stdout).expect("text")
}

/// The sections of a golden file: collector and lines.
fn golden(machine: &str) -> Vec<(String, Vec<String>)> {
    let file = format!("tests/snapshots/machines__{machine}.snap");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).expect("the golden file of tests/machines.rs");
    let body = text.splitn(3, "---\n").nth(2).expect("a header of insta's");
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines() {
        match line.strip_prefix("# ") {
            // `hwmon: not on this machine` has no lines, and is asked for all the same.
            Some(head) => {
                let name = head.split(':').next().unwrap_or(head);
                sections.push((name.to_owned(), Vec::new()));
            }
            None => sections.last_mut().expect("a section").1.push(line.to_owned()),
        }
    }
    sections.retain(|(name, _)| !ASK_THE_KERNEL.contains(&name.as_str()));
    sections
}

#[test]
fn the_binary_prints_every_golden_value() {
    for machine in ["container", "vm", "bighost"] {
        let sections = golden(machine);
        assert!(sections.len() > 5, "{machine}: {sections:?}");
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        let expected: Vec<&str> =
            sections.iter().flat_map(|(_, lines)| lines.iter().map(String::as_str)).collect();
        let text = collect(machine, &names);
        for (found, wanted) in text.lines().zip(&expected) {
            assert_eq!(found, *wanted, "{machine}");
        }
        assert_eq!(text.lines().count(), expected.len(), "{machine}");
    }
}

#[test]
fn its_json_says_the_same() {
    let names = ["loadavg", "meminfo"];
    let json = collect("vm", &["--json", "loadavg", "meminfo"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for (_, lines) in golden("vm").iter().filter(|(n, _)| names.contains(&n.as_str())) {
        for line in lines {
            let (key, value) = line.rsplit_once(' ').expect("key and value");
            let value: f64 = value.parse().expect("a number");
            assert_eq!(json[key].as_f64(), Some(value), "{key}");
        }
    }
}
