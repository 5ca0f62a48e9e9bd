//! Lays the functions that every beat needs side by side, and behind them those that the page needs.
//!
//! At rest most of plimsoll's memory is mapped program text, and the kernel maps it in windows of
//! 64 kB or more: nearly every window holds something that a beat needs, although all of it together
//! is 0.5 MB. `ci/bench/hot.py` makes the list. A Rust function's name holds a hash of the compiler,
//! of the build's profile and of the crates that go into it, not of the folder it was built in: with
//! another compiler, or after a change of profile or dependencies (which costs a megabyte of memory
//! until the list is made again), its line is not found and does nothing. Only some linkers can do this
//! (lld, which is Rust's own on x86-64), so it is tried on an empty program first.
#![allow(clippy::expect_used, reason = "a build that cannot go on stops here")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

const LIST: &str = "build/hot_functions.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    println!("cargo::rerun-if-env-changed={NAMES}");
    // Tests and debug builds are linked often, and gain nothing.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let list = Path::new(&root).join(LIST);
    let arguments =
        [format!("-Wl,--symbol-ordering-file={}", list.display()), NO_WARNING.to_owned()];
    if env::var_os(NAMES).is_none() {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
    if links_with(&arguments) {
        for argument in arguments {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Who wants names in a trace sets this in the environment of the build.
const NAMES: &str = "PLIMSOLL_NAMES";
/// Functions that are not there are no mistake.
const NO_WARNING: &str = "-Wl,--no-warn-symbol-ordering";

/// Whether an empty program can be linked with these arguments, as this one will be.
fn links_with(arguments: &[String]) -> bool {
    let out = env::var("OUT_DIR").expect("cargo says where to put things");
    let source = Path::new(&out).join("empty.rs");
    fs::write(&source, "fn main() {}\n").expect("OUT_DIR can be written");
    let mut rustc = Command::new(env::var("RUSTC").expect("cargo says which compiler"));
    rustc.arg(&source).arg("-o").arg(Path::new(&out).join("empty"));
    rustc.arg("--target").arg(env::var("TARGET").expect("cargo says for which machine"));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|f| !f.is_empty()));
    rustc.args(arguments.iter().map(|a| format!("-Clink-arg={a}")));
    rustc.stdout(Stdio::null()).stderr(Stdio::null());
    rustc.status().is_ok_and(|s| s.success())
}
