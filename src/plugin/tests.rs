//! plugin: plugins that work, and plugins that try to do harm; real processes, in folders of their
//! own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::model::{Clock, Registry, SystemClock};

struct Place {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // Plugins run as nobody when plimsoll is root.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("modes");
        for sub in ["plugins", "conf", "lib/plugins"] {
            std::fs::create_dir_all(dir.path().join(sub)).expect("made");
        }
        let settings = Settings {
            dir: Some(dir.path().join("plugins")),
            conf_dirs: vec![dir.path().join("conf")],
            libdir: dir.path().join("lib"),
            timeout_ms: 1_000,
            ..Settings::default()
        };
        Self { dir, settings }
    }

    fn put(&self, name: &str, script: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, script).expect("written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("modes");
        file
    }

    fn plugin(&self, name: &str, script: &str) {
        self.put(&format!("plugins/{name}"), script);
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn find(&self) -> Found {
        find(&self.settings, &self.state(), "here")
    }

    fn one(&self, name: &str) -> Plugin {
        let found = self.find();
        let plugin = found.plugins.into_iter().find(|p| p.name == name);
        let plugin = plugin.unwrap_or_else(|| panic!("{name}: {:?}", found.refused));
        plugin.prepare().expect("a state folder");
        plugin
    }

    fn run(&self, name: &str) -> Output {
        run_one(&self.one(name), Action::Fetch, &SystemClock)
    }
}

/// The command lines of all processes that hold a word; zombies have none.
fn processes(word: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let line = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("cmdline")).ok();
    entries.filter_map(line).filter(|l| l.contains(word)).collect()
}

/// Those that stay. Where all tests are threads of one process, others' plugins have ended this very
/// moment, too.
fn zombies() -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(5);
    let mut stay = ended();
    while !stay.is_empty() && Instant::now() < end {
        std::thread::park_timeout(Duration::from_millis(5));
        let now = ended();
        stay.retain(|child| now.contains(child));
    }
    stay
}

/// Children that have ended and were not asked how.
fn ended() -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let stat = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("stat")).ok();
    let is = |l: &String| {
        let mut words = l.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        words.next() == Some("Z") && words.next() == Some(&own)
    };
    entries.filter_map(stat).filter(is).collect()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

#[test]
fn a_plugin_sees_a_clean_environment_and_its_settings() {
    let place = Place::new();
    place.put(
        "conf/a",
        "[env]\nenv.greeting hi # there\ntimeout 3\n[*]\nenv.greeting no\nenv.also 1\n",
    );
    place.plugin("env", "#!/bin/sh\nenv | sort; pwd; echo \"$0 $#\"; cat; ulimit -c\n");
    let output = place.run("env");
    let text = String::from_utf8(output.stdout).expect("text");
    let plugin = place.one("env");
    let mut want: Vec<String> = plugin.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    want.push("PWD=/".into());
    want.sort();
    let (env, rest): (Vec<&str>, Vec<&str>) = text
        .lines()
        .filter(|l| !l.starts_with("_=") && !l.starts_with("SHLVL") && !l.starts_with("OLDPWD"))
        .partition(|l| l.contains('='));
    assert_eq!(env, want);
    assert!(want.contains(&"greeting=hi".to_owned()) && want.contains(&"also=1".to_owned()));
    let state = place.state().join(&plugin.account.name);
    assert!(want.contains(&format!("MUNIN_STATEFILE={}/env-127.0.0.1", state.display())));
    assert_eq!(rest, ["/", &format!("{} 0", plugin.file.display()), "0"]);
    assert_eq!(plugin.timeout_ms, 3_000);
}

#[test]
fn what_others_could_change_is_not_run() {
    let place = Place::new();
    place.plugin("good", "#!/bin/sh\n");
    place.plugin("open", "#!/bin/sh\n");
    place.plugin("text", "#!/bin/sh\n");
    place.plugin(".hidden", "#!/bin/sh\n");
    place.plugin("old.bak", "#!/bin/sh\n");
    let mode = |name: &str, mode| {
        let path = place.settings.folder().join(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("modes");
    };
    mode("open", 0o757);
    mode("text", 0o644);
    // A link is as safe as its target and the folder of that.
    let elsewhere = place.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    place.put("elsewhere/tool", "#!/bin/sh\n");
    let link = |name: &str, to: &Path| {
        std::os::unix::fs::symlink(to, place.settings.folder().join(name)).expect("linked");
    };
    link("link", &elsewhere.join("tool"));
    link("gone", &elsewhere.join("nothing"));
    std::fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o777)).expect("modes");
    let found = place.find();
    let names: Vec<&str> = found.plugins.iter().map(|p| &*p.name).collect();
    assert_eq!(names, ["good"]);
    let refused: Vec<&str> = found.refused.iter().map(|(n, _)| &**n).collect();
    assert_eq!(refused, ["gone", "link", "open", "text"]);
    let why = |at: usize| &found.refused[at].1;
    assert!(why(1).contains("elsewhere can be changed by others"), "{}", why(1));
    assert!(why(2).contains("chmod go-w"), "{}", why(2));
    assert!(why(3).contains("chmod +x"), "{}", why(3));
    std::fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o755)).expect("modes");
    assert_eq!(place.find().plugins.len(), 2);
}

/// Followed, such advice would break the machine.
#[test]
fn nothing_is_advised_that_changes_what_a_link_leads_to() {
    let place = Place::new();
    for (name, to) in [("null", "/dev/null"), ("passwd", "/etc/passwd"), ("folder", "/etc")] {
        std::os::unix::fs::symlink(to, place.settings.folder().join(name)).expect("linked");
    }
    let found = place.find();
    let why = |at: usize| &found.refused[at].1;
    assert_eq!(found.refused.len(), 3, "{found:?}");
    assert!(why(0).contains("it is a folder, not a file; remove the link"), "{}", why(0));
    assert!(why(1).contains("it is a device, not a file; remove the link"), "{}", why(1));
    assert!(why(2).contains("/etc/passwd is not executable"), "{}", why(2));
    for (_, why) in &found.refused {
        assert!(!why.contains("chmod") && !why.contains("chown"), "{why}");
    }
}

#[test]
fn who_chose_no_user_gets_no_more_rights_than_that_user_has() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    place.put("conf/a", "[chosen]\nuser games\n");
    for name in ["plain", "chosen"] {
        place.plugin(name, "#!/bin/sh\ngrep NoNewPrivs /proc/self/status\n");
    }
    let said = |name: &str| String::from_utf8(place.run(name).stdout).expect("text");
    assert_eq!(said("plain").trim(), "NoNewPrivs:\t1");
    assert_eq!(said("chosen").trim(), "NoNewPrivs:\t0", "it may have to call sudo");
}

#[test]
fn what_stands_in_settings_is_not_told() {
    let place = Place::new();
    place.put(
        "conf/a",
        "[mail]\nenv.password=hunter2\nenv NAME hunter2\nhunter2\nenv.a:hunter2 x\n",
    );
    let faults = place.find().faults;
    assert!(faults.len() >= 3 && !faults.concat().contains("hunter2"), "{faults:?}");
}

#[test]
fn root_is_left_unless_it_is_asked_for() {
    if !rustix::process::geteuid().is_root() {
        // A plimsoll that is not root stays who it is, and records the wanted user.
        let place = Place::new();
        place.put("conf/a", "[who]\nuser root\n");
        place.plugin("who", "#!/bin/sh\nid -u\n");
        assert_eq!(place.one("who").account.wanted.as_deref(), Some("root"));
        return;
    }
    let place = Place::new();
    place.put("conf/a", "[boss]\nuser root\n[games]\nuser games\ngroup adm, (nosuchgroup)\n[lost]\nuser nosuchuser\n");
    for name in ["plain", "boss", "games", "lost"] {
        place.plugin(name, "#!/bin/sh\necho $(id -un) $(id -gn) $(id -Gn)\n");
    }
    let said = |name: &str| String::from_utf8(place.run(name).stdout).expect("text");
    assert_eq!(said("plain"), "nobody nogroup nogroup\n");
    assert_eq!(said("boss"), "root root root\n");
    assert_eq!(said("games"), "games adm adm\n");
    let found = place.find();
    assert_eq!(found.refused.len(), 1);
    assert!(found.refused[0].1.contains("nosuchuser"));
}

/// Runs a hostile plugin beside a good one that is started after it; how the hostile one ended.
/// Within its deadline and a second it is gone, and whatever it left with it.
fn hostile(word: &str, script: &str) -> Output {
    let place = Place::new();
    // A process in a container is visible from outside.
    let space = std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino());
    let word = &*format!("{word}{:03}", space % 1_000);
    // The word makes its processes known.
    place.plugin("hostile", &script.replace("WORD", word));
    place.plugin("good", "#!/bin/sh\necho a.value 1\n");
    let (bad, good) = (place.one("hostile"), place.one("good"));
    let mut runner = Runner::new().expect("a runner");
    let start = Instant::now();
    runner.start(0, &bad, Action::Fetch, SystemClock.boot_ms()).expect("started");
    runner.start(1, &good, Action::Fetch, SystemClock.boot_ms()).expect("started");
    let (mut done, mut good_took) = (Vec::new(), None);
    let mut ended = None;
    let mut took = Duration::ZERO;
    while ended.is_none() || good_took.is_none() {
        let now = SystemClock.boot_ms();
        let wait = runner.wake(now).map_or(10, |at| (at - now).clamp(1, 1_000));
        let wait =
            rustix::event::Timespec { tv_sec: wait / 1_000, tv_nsec: wait % 1_000 * 1_000_000 };
        let fd = runner.fd();
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        let _woken = rustix::event::poll(&mut fds, Some(&wait));
        runner.step(SystemClock.boot_ms(), &mut done);
        for (tag, output) in done.drain(..) {
            match tag {
                0 => (ended, took) = (Some(output), start.elapsed()),
                _ => good_took = Some((output.end, output.stdout)),
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "it is not ended");
    }
    assert!(took < Duration::from_millis(2_000), "ended after {took:?}");
    // It did not have to wait until its own deadline.
    assert_eq!(good_took.expect("it ended"), (End::Exited(0), b"a.value 1\n".to_vec()));
    // On a busy machine a killed process takes a moment to die; the runner then looks again.
    while !processes(word).is_empty() && start.elapsed() < Duration::from_secs(5) {
        runner.step(SystemClock.boot_ms(), &mut done);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(processes(word), [] as [&str; 0]);
    assert_eq!(zombies(), [] as [&str; 0]);
    ended.expect("ended")
}

#[test]
fn one_that_sleeps_for_ever() {
    assert_eq!(hostile("86401", "#!/bin/sh\nsleep WORD\n").end, End::TimedOut);
}

#[test]
fn one_that_ignores_sigterm() {
    let script = "#!/bin/sh\ntrap '' TERM HUP INT\nwhile :; do sleep WORD; done\n";
    assert_eq!(hostile("86402", script).end, End::TimedOut);
}

#[test]
fn a_grandchild_in_its_own_session_holds_the_output() {
    // Its parent ends well, so the output counts; the grandchild is killed.
    let script = "#!/bin/sh\necho a.value 2\nsetsid sleep WORD &\nexit 0\n";
    let output = hostile("86403", script);
    assert_eq!((output.end, &*output.stdout), (End::Exited(0), &b"a.value 2\n"[..]));
}

#[test]
fn one_that_forks_twice_empties_its_environment_and_stays() {
    let script = "#!/bin/sh\n(setsid env -i sh -c 'trap \"\" TERM; (sleep WORD & sleep WORD) & sleep WORD' >/dev/null 2>&1 &)\nsleep WORD\n";
    assert_eq!(hostile("86404", script).end, End::TimedOut);
    let script = "#!/bin/sh\n(setsid env -i sh -c '(setsid sleep WORD) & setsid sleep WORD' >/dev/null 2>&1 &)\necho a 1\n";
    assert_eq!(hostile("86405", script).end, End::Exited(0));
}

#[test]
fn one_that_lowers_the_limit_that_marks_it() {
    for (word, script) in [
        ("86411", "( ulimit -q 0; exec setsid sleep WORD ) >/dev/null 2>&1 &\necho a 1\n"),
        // The leader itself, whose children are then left alone only while it runs.
        (
            "86412",
            "ulimit -q 0; (setsid setsid sleep WORD >/dev/null 2>&1 &) ; sleep 0.1; echo a 1\n",
        ),
        ("86413", "ulimit -q 0; sleep WORD >/dev/null 2>&1 & echo a 1\n"),
    ] {
        assert_eq!(
            hostile(word, &format!("#!/bin/bash\n{script}")).end,
            End::Exited(0),
            "{script}"
        );
    }
}

#[test]
fn one_whose_name_is_no_text() {
    let script = "#!/bin/sh\n\
        setsid sh -c 'printf \"\\377\" > /proc/$$/comm; sleep WORD; :' >/dev/null 2>&1 &\n\
        sleep 0.2; echo a 1\n";
    assert_eq!(hostile("86414", script).end, End::Exited(0));
}

#[test]
fn in_a_container_the_same_ones_harm_nobody() {
    // A process id namespace of its own, which the session's leader is not in: `docker run` and CI.
    let mut command = std::process::Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", "--test-threads=1"]);
    for name in [
        "one_that_forks_twice_empties_its_environment_and_stays",
        "one_that_lowers_the_limit_that_marks_it",
    ] {
        command.arg(format!("plugin::tests::{name}"));
    }
    let output = command.output().expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("2 passed"), "{said}");
}

#[test]
fn a_flood_of_output() {
    let output = hostile("86406", "#!/bin/sh\nyes WORD | head -c 1000000000\n");
    assert_eq!(output.end, End::Cut);
    assert!(output.stdout.len() <= (1 << 20) + 1);
    let output = hostile("86407", "#!/bin/sh\ntr '\\0' x </dev/zero # WORD\n");
    assert_eq!(output.end, End::Cut, "no line ends in it");
    let output = hostile("86408", "#!/bin/sh\nyes WORD >&2\n");
    assert_eq!(output.end, End::Cut, "complaints are bounded too");
    assert!(output.stderr.len() <= 4_096);
}

#[test]
fn a_million_fields_and_bytes_that_are_no_text() {
    let output = hostile("86409", "#!/bin/sh\nseq 1000000 | sed 's/.*/f&.value &/'\n");
    assert_eq!(output.end, End::Cut);
    let registry = Arc::new(Registry::default());
    let mut keeper =
        Keeper::new(Arc::clone(&registry), Arc::default(), "p", None, Some(Kind::Munin));
    let fields =
        |n: usize, what: &str| -> String { (0..n).map(|n| format!("f{n}.{what}\n")).collect() };
    let answer = |text: &[u8]| Output {
        stdout: text.to_vec(),
        stderr: Vec::new(),
        end: End::Exited(0),
        took_ms: 1,
    };
    keeper.describe(&answer(fields(50_000, "label x").as_bytes())).expect("described");
    let samples = keeper.values(&answer(fields(50_000, "value 1").as_bytes()), 7).expect("values");
    assert_eq!((samples.values.len(), registry.len()), (2_000, 2_000));
    assert!(samples.faults.to_string().contains("more than 2000 fields"));
    let odd = b"f1.value 1\nf2.va\0lue 2\n\xff\xfef3.value 3\nf4.value 4";
    let samples = keeper.values(&answer(odd), 8).expect("values");
    assert_eq!(samples.values.len(), 2, "lines that are no text cost themselves only");
    assert_eq!(samples.ended.len(), 1_998);
}

#[test]
fn alone_a_thousand_runs_leave_nothing() {
    let place = Place::new();
    place.plugin("quick", "#!/bin/sh\n(setsid true &)\necho a.value 1\n");
    let plugin = place.one("quick");
    let mut runner = Runner::new().expect("a runner");
    let mut done = Vec::new();
    let mut before = 0;
    for run in 0..1_000 {
        runner.start(run, &plugin, Action::Fetch, SystemClock.boot_ms()).expect("started");
        while done.is_empty() {
            let fd = runner.fd();
            let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
            let _woken = rustix::event::poll(&mut fds, Some(&wait));
            runner.step(SystemClock.boot_ms(), &mut done);
        }
        let (tag, output) = done.remove(0);
        assert_eq!((tag, output.end), (run, End::Exited(0)));
        if run == 0 {
            before = descriptors();
        }
    }
    // Other tests may have had some open, or have them open now.
    assert!(descriptors() < before + 100, "{} of {before}", descriptors());
    assert_eq!(zombies(), [] as [&str; 0]);
}

#[test]
fn links_are_made_and_taken_away() {
    let place = Place::new();
    place.put("lib/plugins/df", "#!/bin/sh\n");
    place.put("lib/plugins/if_", "#!/bin/sh\n");
    place.put("lib/plugins/if_err_", "#!/bin/sh\n");
    let s = &place.settings;
    let made =
        |name: &str, as_| enable(s, name, as_).map(|p| std::fs::read_link(p).expect("a link"));
    let lib = |name: &str| Ok(place.dir.path().join("lib/plugins").join(name));
    assert_eq!(made("df", None), lib("df"));
    assert_eq!(made("df", Some("df_again")), lib("df"));
    assert_eq!(made("if_eth0", None), lib("if_"));
    assert_eq!(made("if_err_eth0", None), lib("if_err_"), "the longest that fits");
    assert_eq!(made("if_", Some("if_lo")), lib("if_"));
    for (name, as_, word) in [
        ("df", None, "is there already"),
        ("if_", None, "wildcard"),
        ("nosuch", None, "plugin suggest"),
        ("df", Some("a b"), "is not a name"),
    ] {
        let error = enable(s, name, as_).expect_err("refused");
        assert!(error.contains(word), "{error}");
    }
    disable(s, "df").expect("gone");
    assert!(disable(s, "df").is_err());
    place.plugin("own", "#!/bin/sh\n");
    assert!(disable(s, "own").expect_err("no link").contains("not deleted"));
    assert!(disable(s, "../plugins/own").is_err());
}

#[test]
fn installed_plugins_are_asked_what_fits_here() {
    let place = Place::new();
    let lib = |name: &str, words: &str, body: &str| {
        place.put(
            &format!("lib/plugins/{name}"),
            &format!(
                "#!/bin/sh\n#%# family=auto\n#%# capabilities={words}\ncase $1 in {body} esac\n"
            ),
        );
    };
    lib("yes", "autoconf", "autoconf) echo yes;;");
    lib("no", "autoconf", "autoconf) echo 'no (nothing here)';;");
    lib("if_", "autoconf suggest", "autoconf) echo yes;; suggest) echo eth0; echo lo;;");
    lib("hangs", "autoconf", "autoconf) sleep 60;;");
    place.put(
        "lib/plugins/manual",
        "#!/bin/sh\n#%# family=manual\n#%# capabilities=autoconf\necho yes\n",
    );
    place.plugin("if_lo", "#!/bin/sh\n");
    let found = place.find();
    let said =
        suggest(&place.settings, &place.state(), "here", &found, &SystemClock).expect("asked");
    let names: Vec<(&str, bool)> = said.iter().map(|s| (&*s.name, s.there)).collect();
    assert_eq!(names, [("if_eth0", false), ("if_lo", true), ("yes", false)]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let place = Place::new();
    place.plugin("bad", "#!/bin/sh\nif [ \"$1\" = config ]; then\necho graph_titel Load\necho graph_title Load\necho graph_category system\necho a.label A\necho a.type SPEED\necho b.label B\necho a.negative c\nexit 0\nfi\necho a.value 1\necho c.value 2\necho b.value many\necho huh >&2\n");
    let (kind, remarks) = lint(&place.one("bad"), &SystemClock);
    assert_eq!(kind, Kind::Munin);
    let all: Vec<String> = remarks.iter().map(|r| format!("{}: {}", r.place, r.text)).collect();
    for part in [
        "config, line 1: graph_titel Load: unknown attribute of a graph: `graph_titel`; did you mean `graph_title`?",
        "config, line 5: a.type SPEED: `SPEED` is not a type; there are GAUGE, COUNTER, DERIVE and ABSOLUTE",
        "config, graph_vlabel: the axis has no unit",
        "fetch, line 2: c.value 2: `config` does not say what `c` is: print `c.label …` there",
        "fetch, line 3: b.value many: `many` is neither a number nor U",
        "`b` is described and has no value",
        "the negative of `a` is `c`",
        "it complains on standard error: huh",
    ] {
        assert!(all.iter().any(|r| r.contains(part)), "{part}: {all:#?}");
    }
    place.plugin("simple", "#!/bin/sh\necho temp 21.5\necho no number\n");
    let (kind, remarks) = lint(&place.one("simple"), &SystemClock);
    assert_eq!((kind, remarks.len()), (Kind::Simple, 1));
    assert_eq!(remarks[0].place, "output, line 2: no number");
    place.plugin("fine", "#!/bin/sh\n[ \"$1\" = config ] && { echo graph_title T; echo graph_category c; echo graph_vlabel v; echo a.label A; exit; }\necho a.value 1\n");
    assert_eq!(lint(&place.one("fine"), &SystemClock), (Kind::Munin, Vec::new()));
}
