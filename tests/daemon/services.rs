//! The table of services: every one is found in the greeting, `reload`, `check-config`, `/health`, the
//! shutdown and plimsoll's metrics of itself, and nowhere if it is not configured.

use plimsoll::daemon::SERVICES;
use rustix::process::Signal;

use crate::support::*;

/// The sections that turn a service on, the same with another value, and the setting that differs.
fn example(service: &str) -> [&'static str; 3] {
    match service {
        "collect" => ["interval = \"100ms\"\n", "interval = \"200ms\"\n", "`collect` is in force"],
        "http" => [
            "[http]\nlisten = \"127.0.0.1:0\"\n",
            "[http]\nlisten = \"127.0.0.1:0\"\nhosts = [\"a.example\"]\n",
            "`http.hosts` is in force",
        ],
        "statsd" => [
            "[statsd]\nlisten = \"127.0.0.1:0\"\n",
            "[statsd]\nlisten = \"127.0.0.1:0\"\nflush = \"5s\"\n",
            "`statsd` takes effect at the next start",
        ],
        "graphite" => [
            "[graphite]\nlisten = \"127.0.0.1:0\"\n",
            "[graphite]\nlisten = \"off\"\n",
            "`graphite` takes effect at the next start",
        ],
        "plugins" => [
            "[[plugin]]\nname = \"one\"\nkind = \"nagios\"\ncommand = [\"/bin/echo\", \"fine\"]\n",
            "[[plugin]]\nname = \"two\"\nkind = \"nagios\"\ncommand = [\"/bin/echo\", \"fine\"]\n",
            "`plugins` is in force",
        ],
        "munin_node" => [
            "[munin_node]\nlisten = \"127.0.0.1:0\"\n",
            "[munin_node]\nlisten = \"127.0.0.1:0\"\nspool = true\n",
            "`munin_node` takes effect at the next start",
        ],
        "munin_peers" => [
            "[[munin.node]]\nhost = \"127.0.0.1:1\"\n",
            "[[munin.node]]\nhost = \"127.0.0.1:2\"\n",
            "`munin.node` is in force",
        ],
        "alerts" => [
            "[alerts]\nto = \"exec:/bin/true\"\n",
            "[alerts]\nto = \"exec:/bin/false\"\n",
            "`alerts` is in force",
        ],
        other => panic!("the service {other} needs an example here"),
    }
}

fn config(which: usize) -> String {
    // What stands before all sections comes first: the service that collects is the first one.
    SERVICES.iter().map(|service| example(service.name)[which]).collect()
}

#[test]
fn every_service_is_found_wherever_services_are_shown() {
    let folder = Folder::new();
    folder.configure(&config(0));
    let daemon = Daemon::spawn(folder.plimsoll(&["run", "--verbose"]), &folder.join("log"));
    daemon.ready(PATIENCE);
    let text = folder.ask(&["check-config"]).well();
    let json: serde_json::Value =
        serde_json::from_str(&folder.ask(&["check-config", "--json"]).well()).expect("JSON");
    // A node that cannot be asked is told of soon, and is the one thing that is wrong.
    eventually("problems of its own", PATIENCE, || match daemon.problems() {
        problems if problems.len() == 1 => Ok(()),
        problems => Err(format!("{problems:?}")),
    });
    let health: serde_json::Value =
        serde_json::from_str(&daemon.http("GET", "/health").body).expect("JSON");
    let served = health["services"].as_array().expect("a list");
    assert_eq!(served.len(), SERVICES.len(), "{health}");
    for (service, served) in SERVICES.iter().zip(served) {
        let name = service.name;
        let greeting = format!(" {:<10} ", service.greeting);
        assert!(daemon.log().contains(&greeting), "{name}: {}", daemon.log());
        let row = |line: &str| line.starts_with(&format!("{name:<12}")) && !line.ends_with(" off");
        assert!(text.lines().any(row), "{name}: {text}");
        assert!(json.get(name).is_some_and(|v| !v.is_null()), "{name}: {json}");
        let up = name != "munin_peers";
        assert_eq!((&served["name"], &served["up"]), (&name.into(), &up.into()), "{health}");
        let listens = ["http", "statsd", "graphite", "munin_node"].contains(&name);
        let places = served["listening"].as_array().expect("a list");
        assert_eq!(!places.is_empty(), listens, "{name}: {health}");
        eventually("its metric", PATIENCE, || {
            let value = daemon.value(&format!("plimsoll_service_up{{service=\"{name}\"}}"));
            if value == Some(f64::from(u8::from(up))) {
                Ok(())
            } else {
                Err(format!("{name}: {value:?}"))
            }
        });
    }

    folder.configure(&config(1));
    let said = folder.ask(&["reload"]).well();
    for service in SERVICES {
        let told = example(service.name)[2];
        assert!(said.contains(told), "{}: {told}: {said}", service.name);
        let settings = service.settings.iter().map(|setting| setting.name);
        assert!(settings.count() > 0, "{}: a reload knows none of its settings", service.name);
    }
    assert_eq!(said.lines().count(), 1 + SERVICES.len(), "{said}");

    let mut daemon = daemon;
    let (status, _) = daemon.end(Signal::TERM);
    assert!(status.success(), "{status}: {}", daemon.log());
    for service in SERVICES {
        let ended = format!("{} has ended", service.name);
        assert!(daemon.log().contains(&ended), "{ended}: {}", daemon.log());
    }
}

#[test]
fn a_service_that_nobody_configured_is_nowhere() {
    let folder = Folder::new();
    let text =
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[statsd]\nlisten = \"off\"\n";
    let daemon = folder.start(text);
    let health = daemon.json("/health");
    let served: Vec<&str> = health["services"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["name"].as_str())
        .collect();
    assert_eq!(served, ["collect", "http"]);
    let threads = format!("/proc/{}/task", daemon.pid());
    let names = std::fs::read_dir(threads).expect("it runs").filter_map(|task| {
        std::fs::read_to_string(task.ok()?.path().join("comm"))
            .ok()
            .map(|name| name.trim().to_owned())
    });
    let names: Vec<String> = names.collect();
    let plan = folder.ask(&["check-config"]).well();
    for service in SERVICES.iter().filter(|service| !served.contains(&service.name)) {
        assert!(!names.iter().any(|name| name == service.name), "{names:?}");
        assert!(!daemon.log().contains(&format!(" {:<10} ", service.greeting)), "{}", daemon.log());
        assert!(plan.contains(&format!("{:<12}off", service.name)), "{plan}");
        let up = daemon.value(&format!("plimsoll_service_up{{service=\"{}\"}}", service.name));
        assert_eq!(up, None);
    }
    // A reload may bring those that take their settings at once, and take them away again.
    let at_once = ["plugins", "munin_peers"];
    let more: String = at_once.iter().map(|name| example(name)[0]).collect();
    for (config, there) in [(format!("{text}{more}"), true), (text.to_owned(), false)] {
        folder.configure(&config);
        folder.ask(&["reload"]).well();
        for name in at_once {
            eventually(name, PATIENCE, || {
                let health = daemon.json("/health")["services"].to_string();
                let up = daemon.value(&format!("plimsoll_service_up{{service=\"{name}\"}}"));
                let shown = health.contains(&format!("\"{name}\""));
                let right = (shown, up.is_some()) == (there, there);
                if right { Ok(()) } else { Err(format!("{there}: {health} {up:?}")) }
            });
        }
    }
    daemon.stop();
}

/// What a start is needed for is told at each reload until there was one, and the log has a line for
/// each.
#[test]
fn a_reload_compares_with_what_runs() {
    let folder = Folder::new();
    let text =
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[statsd]\nlisten = \"off\"\n";
    let daemon = folder.start(text);
    let changed = format!("system = \"other\"\n{text}[graphite]\nlisten = \"127.0.0.1:0\"\n");
    let faster = changed.replace("100ms", "200ms");
    for (config, log) in [
        (&*changed, "the new `system` takes effect"),
        (&*changed, "the new `graphite` takes effect"),
        (&*faster, "; the new `collect` is in force"),
    ] {
        folder.configure(config);
        let said = folder.ask(&["reload"]).well();
        for name in ["system", "graphite"] {
            let told = format!("the new `{name}` takes effect at the next start");
            assert!(said.contains(&told), "{told}: {said}");
        }
        let all = daemon.log();
        let last = all.lines().last().unwrap_or_default();
        assert!(last.contains(" reloaded ") && last.contains(log), "{log}: {all}");
    }
    folder.configure(text);
    let said = folder.ask(&["reload"]).well();
    assert!(!said.contains("next start"), "as it runs: {said}");
    folder.configure("intervall = 1");
    let why = folder.ask(&["reload"]).refused();
    assert!(why.contains("nothing was changed"), "{why}");
    let log = daemon.log();
    assert_eq!(log.matches("reloaded").count(), 5, "a line each: {log}");
    assert!(log.contains("not reloaded, all stays as it was: unknown key `intervall`"), "{log}");
    daemon.stop();
}

/// A port that another program holds is told wherever services are shown, until it can be had.
#[test]
fn a_place_that_comes_late_is_shown_as_open() {
    let folder = Folder::new();
    let held: Vec<std::net::TcpListener> =
        (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let port = |at: usize| held[at].local_addr().expect("bound").port();
    folder.configure(&format!(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:{}\"\nsocket = \"{}\"\n\
         [statsd]\nlisten = \"off\"\ntcp = \"127.0.0.1:{}\"\n\
         [graphite]\nlisten = \"127.0.0.1:{}\"\n[munin_node]\nlisten = \"127.0.0.1:{}\"\n",
        port(0),
        folder.join("http.sock").display(),
        port(1),
        port(2),
        port(3)
    ));
    let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
    daemon.says("munin node");
    let greeting = daemon.log();
    let places = || {
        let mut curl = tool("curl", "curl");
        let socket = folder.join("http.sock");
        let said =
            run(curl.arg("-sS").arg("--unix-socket").arg(socket).arg("http://localhost/health"));
        let health: serde_json::Value = serde_json::from_str(&said.well()).expect("JSON");
        health["services"].to_string()
    };
    let now = eventually("an answer", PATIENCE, || {
        if folder.join("http.sock").exists() { Ok(places()) } else { Err(String::new()) }
    });
    for at in 0..4 {
        let late = format!("127.0.0.1:{} (not yet)", port(at));
        assert!(greeting.contains(&late), "{late}: {greeting}");
        assert!(now.contains(&late), "{late}: {now}");
    }
    let open: Vec<String> = (0..4).map(|at| format!("127.0.0.1:{}\"", port(at))).collect();
    drop(held);
    eventually("all places open", PATIENCE, || {
        let now = places();
        let all = open.iter().all(|place| now.contains(place)) && !now.contains("not yet");
        if all { Ok(()) } else { Err(now) }
    });
    daemon.stop();
}
