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
            line if line.starts_with("cap") || line == "nodes" => "# Unknown command\n".into(),
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
            "nodes" => "endless\n.\n".into(),
            "config a" => "a.label x\n".repeat(200_000),
            line if line.starts_with("cap") => "cap multigraph\n".into(),
            _ => return None,
        })
    });
    let fine = fake(|line| {
        Some(match line {
            "" => "# munin node at fine\n".into(),
            "list" => "dirty slow ../../etc bad\n".into(),
            "nodes" => "fine\n../x\n.\n".into(),
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

/// A plugin that never answers, one at which the node hangs up and one whose answer has no end cost
/// themselves: those behind them are asked on a new connection, and each is told by name.
#[test]
fn a_plugin_that_does_not_answer_costs_itself_only() {
    let folder = Folder::new();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let heard = std::sync::Arc::clone(&asked);
    let node = fake(move |line| {
        heard.lock().expect("not poisoned").push(line.to_owned());
        Some(match line {
            "" => "# munin node at hell\n".into(),
            "list" => "first tarpit second hangup endless slowfetch bad1 bad2 last\n".into(),
            "nodes" => "hell\n.\n".into(),
            "config tarpit" | "fetch slowfetch" => String::new(),
            "config hangup" => return None,
            "config endless" => "a.label x\n".repeat(200_000),
            "fetch bad1" | "fetch bad2" => "# Bad exit\n.\n".into(),
            "fetch first" | "fetch second" | "fetch last" => "a.value 5\n.\n".into(),
            line if line.starts_with("config ") => "a.label x\n.\n".into(),
            line if line.starts_with("cap") => "cap multigraph\n".into(),
            _ => return None,
        })
    });
    let daemon = folder.start(&format!(
        "{FAST}[plugins]\nenabled = false\n[[munin.node]]\nhost = \"{node}\"\n\
         interval = \"1s\"\ntimeout = \"1s\"\n"
    ));
    for plugin in ["first", "second", "last"] {
        soon(&daemon, &format!("munin_{plugin}{{field=\"a\",instance=\"hell\"}} 5"));
    }
    assert_eq!(soon(&daemon, "up{instance=\"hell\"} "), 1.0);
    eventually("each by its name", PATIENCE, || {
        let problems = daemon.problems();
        let has = |plugin: &str, what: &str| {
            let subject = format!("\"munin node {node} plugin {plugin}\"");
            problems.iter().any(|p| p.starts_with(&subject) && p.contains(what))
        };
        let all = has("tarpit", "no answer in time to `config tarpit`")
            && has("slowfetch", "no answer in time to `fetch slowfetch`")
            && has("hangup", "it hung up")
            && has("endless", "it does not end")
            && has("bad1", "it failed")
            && has("bad2", "it failed");
        if all && problems.len() == 6 { Ok(()) } else { Err(format!("{problems:#?}")) }
    });
    // From the second time on it comes after all others, and is put off.
    eventually("it is put off", PATIENCE, || {
        let problems = daemon.problems();
        match problems.iter().any(|p| p.contains("tarpit") && p.contains("it is asked again in")) {
            true => Ok(()),
            false => Err(format!("{problems:#?}")),
        }
    });
    let asked = asked.lock().expect("not poisoned").clone();
    let (mut polls, mut late) = (0, 0);
    for poll in asked.split(|line| line == "list").skip(2) {
        polls += 1;
        let at = |what: &str| poll.iter().position(|line| line == what);
        if let (Some(tarpit), Some(last)) = (at("config tarpit"), at("fetch last")) {
            assert!(tarpit > last, "{poll:?}");
            late += 1;
        }
    }
    assert!(late >= 1 && polls >= 1, "{asked:?}");
    daemon.stop();
}

/// Debian's munin-node with a plugin that tells of another machine, and one of its own.
#[test]
fn other_machines_that_a_node_tells_of_are_instances_of_their_own() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let script = |more: &str, value: &str| {
        format!(
            "#!/bin/sh\nif [ \"$1\" = config ]; then\n{more}echo 'graph_title T'\necho 'a.label a'\n\
             exit 0\nfi\necho 'a.value {value}'\n"
        )
    };
    put(&dir, "own", &script("", "1"));
    put(&dir, "far", &script("echo 'host_name switch.example.org'\n", "2"));
    let mut real = Node::start(&folder, &dir);
    let daemon = folder.start(&asking(real.address, ""));
    soon(&daemon, "munin_own{field=\"a\",instance=\"here\"} 1");
    soon(&daemon, "munin_far{field=\"a\",instance=\"switch.example.org\"} 2");
    assert_eq!(metric(&daemon, "munin_far{field=\"a\",instance=\"here\"}"), None);
    let sql = "SELECT DISTINCT system FROM series WHERE name LIKE 'munin_%' ORDER BY 1";
    eventually("both machines in the file", PATIENCE, || match sqlite3(&folder.db(), sql) {
        known if known == "here\nswitch.example.org" => Ok(()),
        known => Err(known),
    });
    // And a node of ours tells of the same machines as that one does.
    assert_eq!(real.list(), ["own"]);
    daemon.stop();
    let address = free_port();
    let daemon = folder.start(&format!(
        "{FAST}[plugins]\ndir = \"{}\"\nconf_dir = \"/nonexistent\"\ninterval = \"500ms\"\n\
         [munin_node]\nlisten = \"{address}\"\nhost_name = \"ours\"\n",
        dir.display(),
    ));
    eventually("both plugins", PATIENCE, || {
        let nodes = Line::to(address).ask("nodes");
        if nodes == "ours\nswitch.example.org\n" { Ok(()) } else { Err(nodes) }
    });
    let mut line = Line::to(address);
    line.say("cap multigraph dirtyconfig");
    line.line();
    line.say("list switch.example.org");
    assert_eq!(line.line(), "far\n");
    line.say("list");
    let own = line.line();
    assert!(own.split(' ').any(|n| n == "own") && !own.contains("far"), "{own}");
    assert_eq!(line.ask("fetch far"), "a.value 2\n");
    daemon.stop();
}

/// Debian's munin-node, which says nothing without TLS.
#[test]
fn a_node_that_demands_tls_and_what_of_its_certificate_is_trusted() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(
        &dir,
        "own",
        "#!/bin/sh\nif [ \"$1\" = config ]; then\necho a.label a\nexit 0\nfi\necho a.value 3\n",
    );
    let files =
        |name: &str| (folder.join(&format!("{name}.pem")), folder.join(&format!("{name}.key")));
    let openssl = |words: &[&str]| drop(run(tool("openssl", "openssl").args(words)).well());
    let text = |path: &Path| path.display().to_string();
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    // An authority, the node's certificate from it, and one of somebody else.
    for name in ["ca", "other"] {
        let (cert, key) = files(name);
        let subject = format!("/CN={name}");
        let made = [text(&cert), text(&key)];
        let rest = ["-days", "3", "-subj", &subject, "-keyout", &made[1], "-out", &made[0]];
        openssl(&[&["req", "-x509"][..], &new, &rest].concat());
    }
    let ((ca, ca_key), (cert, key)) = (files("ca"), files("node"));
    let asked = text(&folder.join("node.csr"));
    let extensions = folder.join("node.ext");
    std::fs::write(&extensions, "subjectAltName=DNS:web7\n").expect("written");
    let (cert_text, key_text) = (text(&cert), text(&key));
    let rest = ["-subj", "/CN=web7", "-keyout", &key_text, "-out", &asked];
    openssl(&[&["req"][..], &new, &rest].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        &asked,
        "-CA",
        &text(&ca),
        "-CAkey",
        &text(&ca_key),
        "-CAcreateserial",
        "-days",
        "3",
        "-extfile",
        &text(&extensions),
        "-out",
        &cert_text,
    ]);
    let at = |mode: &str| {
        format!(
            "tls {mode}\ntls_certificate {cert_text}\ntls_private_key {key_text}\n\
             tls_ca_certificate {}\n",
            text(&ca)
        )
    };
    let real = Node::start_with(&folder, &dir, &at("enabled"));
    let (other, _) = files("other");
    for (tls, fault) in [
        ("".to_owned(), Some("it demands TLS")),
        (format!("tls = \"paranoid\"\ntls_ca = \"{}\"\ntls_name = \"web7\"\n", text(&ca)), None),
        ("tls = \"enabled\"\n".to_owned(), None),
        ("tls = \"auto\"\n".to_owned(), None),
        (format!("tls = \"paranoid\"\ntls_ca = \"{cert_text}\"\n"), None),
        (
            format!("tls = \"paranoid\"\ntls_ca = \"{}\"\n", text(&ca)),
            Some("is not for `127.0.0.1`"),
        ),
        (format!("tls = \"enabled\"\ntls_ca = \"{}\"\n", text(&other)), Some("`tls_ca` knows")),
    ] {
        let of = Folder::new();
        let daemon = of.start(&asking(real.address, &tls));
        match fault {
            None => {
                assert_eq!(soon(&daemon, "munin_own{field=\"a\",instance=\"here\"} "), 3.0, "{tls}")
            }
            Some(fault) => eventually(fault, PATIENCE, || {
                let problems = daemon.problems();
                let told = problems.iter().any(|p| p.contains(fault));
                if told { Ok(()) } else { Err(format!("{tls}: {problems:?}")) }
            }),
        }
        assert_eq!(metric(&daemon, "munin_own{").is_some(), fault.is_none(), "{tls}");
        daemon.stop();
    }
    drop(real);
    // One that wants to see who asks.
    let wary = Node::start_with(&folder, &dir, &(at("paranoid") + "tls_verify_certificate yes\n"));
    let known = format!("tls = \"paranoid\"\ntls_ca = \"{cert_text}\"\n");
    let of = Folder::new();
    let daemon = of.start(&asking(wary.address, &known));
    eventually("what is wrong", PATIENCE, || {
        let problems = daemon.problems();
        let told = problems.iter().any(|p| p.contains("wants to see a certificate"));
        if told { Ok(()) } else { Err(format!("{problems:?}")) }
    });
    daemon.stop();
    let of = Folder::new();
    let own = format!("{known}tls_cert = \"{cert_text}\"\ntls_key = \"{key_text}\"\n");
    let daemon = of.start(&asking(wary.address, &own));
    assert_eq!(soon(&daemon, "munin_own{field=\"a\",instance=\"here\"} "), 3.0);
    daemon.stop();
    drop(wary);
    // One without TLS: `enabled` demands it, `auto` does not.
    let plain = fake(|line| {
        Some(match line {
            "" => "# munin node at itself\n".into(),
            "list" => "a\n".into(),
            "nodes" => "itself\n.\n".into(),
            "config a" => "a.label x\n.\n".into(),
            "fetch a" => "a.value 5\n.\n".into(),
            line if line.starts_with("cap") => "cap multigraph\n".into(),
            _ => "# Unknown command\n".into(),
        })
    });
    let of = Folder::new();
    let daemon = of.start(&asking(plain, "tls = \"enabled\"\n"));
    eventually("what is wrong", PATIENCE, || {
        let problems = daemon.problems();
        let told = problems.iter().any(|p| p.contains("does not speak TLS"));
        if told { Ok(()) } else { Err(format!("{problems:?}")) }
    });
    assert_eq!(metric(&daemon, "munin_a{"), None);
    daemon.stop();
    let of = Folder::new();
    let daemon = of.start(&asking(plain, "tls = \"auto\"\n"));
    assert_eq!(soon(&daemon, "munin_a{field=\"a\",instance=\"itself\"} "), 5.0);
    daemon.stop();
}

#[test]
fn a_node_that_calls_itself_as_this_machine_goes_by_its_address() {
    let folder = Folder::new();
    let address = fake(|line| {
        Some(match line {
            "" => "# munin node at hub\n".to_owned(),
            "nodes" => "hub\n.\n".to_owned(),
            "list" => "load\n".to_owned(),
            "cap multigraph dirtyconfig" => "cap multigraph dirtyconfig\n".to_owned(),
            "config load" => "graph_title Load\nload.label load\n.\n".to_owned(),
            "fetch load" => "load.value 666\n.\n".to_owned(),
            _ => return None,
        })
    });
    let daemon = folder.start(&format!("system = \"hub\"\n{}", asking(address, "")));
    soon(&daemon, &format!("munin_load{{field=\"load\",instance=\"{address}\"}} 666"));
    let systems = "select distinct system from series where key like 'munin_load%'";
    eventually("it is in the file", PATIENCE, || match sqlite3(&daemon.db, systems) {
        found if found == address.to_string() => Ok(()),
        found => Err(found),
    });
    daemon.stop();
}
