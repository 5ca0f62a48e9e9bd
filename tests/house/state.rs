//! The rule of the house on state: what changes while the program runs is passed in, and no `static`.

use super::code;

/// Types through which a `static` can be changed.
const CHANGEABLE: [&str; 9] =
    ["Atomic", "Mutex", "RwLock", "Cell<", "RefCell", "Semaphore", "Notify", "Sender", "Condvar"];

/// Statics that change while the program runs, each with its reason.
const STATE: &[(&str, &str, &str)] = &[
    ("src/plugin/stray.rs", "ACTIVE", "marks of runs: children are the whole process's"),
    ("src/cli/watch/mod.rs", "OURS", "the terminal is the process's; a panic gives it back, too"),
    (
        "src/store/file/allowance.rs",
        "thread_local!",
        "SQLite asks for memory without saying for whom",
    ),
    ("src/store/file/allowance.rs", "BOUNDED", "whether it is this thread that has a bound"),
    ("src/store/file/allowance.rs", "METER", "what that thread has taken"),
];

/// State that belongs to nobody in particular is found nowhere when it is wrong: it is passed in.
pub fn check_state(path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    // What tests share is theirs.
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    for (number, line) in code(own).lines().enumerate() {
        let mut words =
            line.split_whitespace().skip_while(|w| *w == "pub" || w.starts_with("pub("));
        let declared = match words.next() {
            Some("static") => words.next().unwrap_or_default(),
            Some("thread_local!") => "thread_local!",
            _ => continue,
        };
        let name = declared.trim_end_matches(':');
        let changes = ["mut", "thread_local!"].contains(&name)
            || CHANGEABLE.iter().any(|kind| line.contains(kind));
        if changes && !STATE.iter().any(|(file, known, _)| *file == path && *known == name) {
            out.push(format!("{path}:{}: {name} is state for all; pass it in", number + 1));
        }
    }
    out
}

#[test]
fn state_for_all_is_found() {
    for text in [
        "static COUNT: AtomicU64 = AtomicU64::new(0);",
        "    pub(super) static LAST: std::sync::Mutex<u8> = Mutex::new(0);",
        "static mut ROOM: u8 = 0;",
        "thread_local! {",
        "static PLACES: tokio::sync::Semaphore = Semaphore::const_new(2);",
    ] {
        assert_eq!(check_state("src/a.rs", text).len(), 1, "{text}");
    }
    for text in [
        "static NAMES: &[&str] = &[\"Mutex\"];",
        "static SQL: LazyLock<String> = LazyLock::new(String::new);",
        "// static COUNT: AtomicU64",
        "fn of(text: &'static str, count: AtomicU64) {}",
        "#[cfg(test)]\nmod tests {\n    static SMALL: Mutex<u8> = Mutex::new(0);\n}",
    ] {
        assert_eq!(check_state("src/a.rs", text), Vec::<String>::new(), "{text}");
    }
    let known = "static ACTIVE: Mutex<u8> = Mutex::new(0);";
    assert_eq!(check_state("src/plugin/stray.rs", known).len(), 0);
    assert_eq!(check_state("src/plugin/rate.rs", known).len(), 1);
}
