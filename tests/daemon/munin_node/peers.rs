//! plimsoll asks a munin-node, as a master does.

use std::collections::BTreeSet;

use super::*;
use crate::plugins::debian::{Node, look};
use crate::plugins::{plugins, put};

/// Answers like a node, one connection after the other, with what `answer` says to each line; ends
/// with the test.
fn fake(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream);
            let Some(greeting) = answer("") else { continue };
            let _unused = lines.get_mut().write_all(greeting.as_bytes());
            let mut line = String::new();
            while matches!(lines.read_line(&mut line), Ok(n) if n > 0) {
                let Some(text) = answer(line.trim_end()) else { break };
                if lines.get_mut().write_all(text.as_bytes()).is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    address
}

fn asking(address: SocketAddr, more: &str) -> String {
    format!(
        "{FAST}[plugins]\nenabled = false\n[[munin.node]]\nhost = \"{address}\"\n\
         interval = \"500ms\"\ntimeout = \"2s\"\n{more}"
    )
}

/// A series in the page of metrics, with its value.
fn metric(daemon: &Daemon, start: &str) -> Option<f64> {
    let page = daemon.http("GET", "/metrics").body;
    let line = page.lines().find(|l| l.starts_with(start))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn soon(daemon: &Daemon, start: &str) -> f64 {
    eventually(start, PATIENCE, || {
        metric(daemon, start).ok_or_else(|| format!("{:?}", daemon.problems()))
    })
}

#[test]
fn the_real_node_s_plugins_are_series_of_its_instance() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(
        &dir,
        "queue",
        "#!/bin/sh\nif [ \"$1\" = config ]; then\necho 'graph_title Queue'\necho 'graph_category mail'\n\
         echo 'waiting.label waiting'\necho 'waiting.warning 9'\necho 'sent.label sent'\n\
         echo 'sent.type DERIVE'\necho 'sent.min 0'\nexit 0\nfi\necho 'waiting.value 3'\n\
         echo 'sent.value 1234'\n",
    );
    for name in ["load", "memory", "cpu", "diskstats"] {
        let plugin = Path::new("/usr/share/munin/plugins").join(name);
        std::os::unix::fs::symlink(plugin, dir.join(name)).expect("linked");
    }
    let mut real = Node::start(&folder, &dir);
    let daemon = folder.start(&asking(real.address, ""));
    soon(&daemon, "munin_queue{field=\"waiting\",instance=\"here\"} 3");
    soon(&daemon, "munin_queue{field=\"sent\",instance=\"here\"} 1234");
    assert_eq!(soon(&daemon, "up{instance=\"here\"} "), 1.0);
    // Every field that the node has, and none besides.
    let names = real.list();
    let theirs = look(&mut real, &names);
    let db = folder.db();
    let ours = || -> BTreeSet<String> {
        let sql = "SELECT key FROM series WHERE job = 'munin' AND system = 'here' AND key <> 'up'";
        sqlite3(&db, sql).lines().map(str::to_owned).collect()
    };
    let wanted: BTreeSet<String> =
        theirs.iter().filter(|(_, (_, v))| v.is_some()).map(|(k, _)| k.clone()).collect();
    eventually("all fields", PATIENCE, || {
        let missing: Vec<String> = wanted.difference(&ours()).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    });
    let kinds =
        sqlite3(&db, "SELECT key, kind FROM series WHERE key LIKE 'munin_queue%' ORDER BY 1");
    assert_eq!(
        kinds.lines().collect::<Vec<_>>(),
        ["munin_queue{field=\"sent\"}|counter", "munin_queue{field=\"waiting\"}|gauge"]
    );
    // Its charts are known as its own.
    eventually("a chart", PATIENCE, || {
        let graphs = daemon.json("/api/graphs");
        let is = |g: &&serde_json::Value| g["id"] == "munin/queue" && g["system"] == "here";
        let all = graphs.as_array().cloned().unwrap_or_default();
        let graph = all.iter().find(is).ok_or("none")?;
        if graph["title"] == "Queue" && graph["fields"][0]["warning"][1] == 9.0 {
            Ok(())
        } else {
            Err(graph.to_string())
        }
    });
    // It dies, and that is said once; what it told is the present no more.
    drop(real);
    eventually("its end", PATIENCE, || match metric(&daemon, "up{instance=\"here\"} ") {
        Some(0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    eventually("no value of its", PATIENCE, || match metric(&daemon, "munin_queue{") {
        None => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let problems = daemon.problems();
    assert!(problems.iter().any(|p| p.contains("munin node 127.0.0.1")), "{problems:?}");
    // A plugin that lost a race for its state file before may have been told of, too.
    let said = || daemon.logged("munin node 127.0.0.1");
    daemon.says("munin node 127.0.0.1");
    let before = said();
    pause(std::time::Duration::from_secs(2));
    assert_eq!(said(), before, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn the_configuration_s_name_goes_before_its_own_and_a_reload_ends_it() {
    let folder = Folder::new();
    let address = fake(|line| {
        Some(match line {
            "" => "Welcome\n# munin node at itself\n".into(),
            "list" => "a\n".into(),
            "config a" => "a.label x\n.\n".into(),
            "fetch a" => "a.value 5\n.\n".into(),
            line if line.starts_with("cap") => "# Unknown command\n".into(),
            _ => return None,
        })
    });
    let daemon = folder.start(&asking(address, "name = \"mine\"\n"));
    soon(&daemon, "munin_a{field=\"a\",instance=\"mine\"} 5");
    folder.configure(&format!("{FAST}[plugins]\nenabled = false\n"));
    folder.ask(&["reload"]).well();
    eventually("its end", PATIENCE, || match metric(&daemon, "munin_a{") {
        None => Ok(()),
        some => Err(format!("{some:?}")),
    });
    daemon.stop();
}

#[test]
fn strange_nodes_hold_up_nobody() {
    let folder = Folder::new();
    let silent = fake(|_| Some(String::new()));
    let endless = fake(|line| {
        Some(match line {
            "" => "# munin node at endless\n".into(),
            "list" => "a b\n".into(),
            "config a" => "a.label x\n".repeat(200_000),
            line if line.starts_with("cap") => "cap multigraph\n".into(),
            _ => return None,
        })
    });
    let fine = fake(|line| {
        Some(match line {
            "" => "# munin node at fine\n".into(),
            "list" => "dirty slow ../../etc bad\n".into(),
            "config dirty" => "a.label x\na.value 7\n.\n".into(),
            "config slow" => "# Timed out\n.\n".into(),
            "fetch slow" => "# Timed out\n.\n".into(),
            "config bad" => "\u{1}\u{2}\n=\n.\n".into(),
            "fetch bad" => "a.value 0x\n.\n".into(),
            "fetch dirty" => "a.value 8\n.\n".into(),
            line if line.starts_with("cap") => "cap multigraph dirtyconfig\n".into(),
            _ => return None,
        })
    });
    let mut text = asking(fine, "");
    for other in [silent, endless] {
        text.push_str(&format!(
            "[[munin.node]]\nhost = \"{other}\"\ninterval = \"500ms\"\ntimeout = \"1s\"\n"
        ));
    }
    let daemon = folder.start(&text);
    soon(&daemon, "munin_dirty{field=\"a\",instance=\"fine\"} ");
    assert_eq!(soon(&daemon, "up{instance=\"fine\"} "), 1.0);
    assert_eq!(soon(&daemon, &format!("up{{instance=\"{silent}\"}} ")), 0.0);
    assert_eq!(soon(&daemon, "up{instance=\"endless\"} "), 0.0);
    eventually("what is wrong", PATIENCE, || {
        let problems = daemon.problems();
        let has = |what: &str| problems.iter().any(|p| p.contains(what));
        let all = has("it does not end") && has("no answer in time") && has("it took too long");
        if all { Ok(()) } else { Err(format!("{problems:?}")) }
    });
    daemon.stop();
}
