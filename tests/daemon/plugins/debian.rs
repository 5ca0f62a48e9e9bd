//! Debian's plugins, through plimsoll and through the real munin-node, on the same machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use plimsoll::wire::munin::{Described, Line, Type, clean_field, identity, lines};
use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// The real munin-node over a plugin folder, with what it remembers in a place of its own.
pub struct Node {
    child: Child,
    stream: BufReader<TcpStream>,
    /// Where it listens, for others who want to ask it.
    pub address: std::net::SocketAddr,
}

impl Node {
    pub fn start(folder: &Folder, dir: &Path) -> Self {
        Self::start_with(folder, dir, "")
    }

    /// The same with more lines in its configuration.
    pub fn start_with(folder: &Folder, dir: &Path, more: &str) -> Self {
        need_root("munin-node with a plugin folder of its own");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("bound");
        drop(port);
        let here = folder.path().display();
        let conf = format!(
            "log_file {here}/node.log\npid_file {here}/node.pid\nbackground 0\nsetsid 0\nuser root\n\
             group root\nhost_name here\nallow ^127\\.0\\.0\\.1$\nhost 127.0.0.1\nport {}\ntimeout 30\n{more}",
            address.port()
        );
        std::fs::write(folder.join("node.conf"), conf).expect("written");
        // Its folders are fixed, so others are laid over them, for it alone.
        // Bound ones, which df does not show.
        for user in ["root", "nobody"] {
            let state = folder.join("node-state").join(user);
            std::fs::create_dir_all(&state).expect("made");
            std::fs::set_permissions(&state, PermissionsExt::from_mode(0o777)).expect("modes");
        }
        let script = "mount --bind \"$2\" /var/lib/munin-node/plugin-state && \
            mount --bind \"$1\" /etc/munin/plugins && exec /usr/sbin/munin-node --config \"$0\"";
        tool("munin-node", "munin-node");
        let child = tool("unshare", "util-linux")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(folder.join("node.conf"))
            .arg(dir)
            .arg(folder.join("node-state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let stream = eventually("munin-node", PATIENCE, || {
            TcpStream::connect(address).map_err(|e| e.to_string())
        });
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        let mut node = Self { child, stream: BufReader::new(stream), address };
        assert!(node.line().starts_with("# munin node at here"));
        if more.is_empty() {
            node.say("cap multigraph dirtyconfig");
            node.line();
        }
        node
    }

    fn say(&mut self, text: &str) {
        writeln!(self.stream.get_mut(), "{text}").expect("it listens");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("it answers");
        line
    }

    /// The answer up to its dot.
    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        let mut out = String::new();
        loop {
            let line = self.line();
            if line.trim_end() == "." || line.is_empty() {
                return out;
            }
            out.push_str(&line);
        }
    }

    pub fn list(&mut self) -> Vec<String> {
        self.say("list");
        let mut names: Vec<String> = self.line().split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _unused = kill_process(pid, Signal::TERM);
        let _unused = self.child.wait();
    }
}

/// Series key, then type and value (nothing: U).
pub type Values = BTreeMap<String, (Type, Option<f64>)>;

/// What munin-node says of all plugins.
pub fn look(node: &mut Node, names: &[String]) -> Values {
    let mut out = Values::new();
    for name in names {
        let config = node.ask(&format!("config {name}"));
        let described = Described::read(name, config.as_bytes());
        let values = if described.values { config } else { node.ask(&format!("fetch {name}")) };
        let mut graph = name.clone();
        for (_, line) in lines(values.as_bytes()) {
            match line {
                Ok(Line::Graph(of)) => graph = of.to_owned(),
                Ok(Line::Value { field, reading }) => {
                    let field = clean_field(field);
                    if let Some(known) = described.find(&graph, &field) {
                        let key = identity(name, &graph, &field).key();
                        out.insert(key, (known.kind, reading.value));
                    }
                }
                _ => {}
            }
        }
    }
    out
}

#[test]
fn they_say_the_same_as_under_munin_node() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let text = format!(
        "{FAST}[plugins]\ndir = \"{}\"\ninterval = \"1s\"\ntimeout = \"10s\"\n",
        dir.display()
    );
    folder.configure(&text);
    // Every plugin that says it has something to measure here: the same that Munin's own tool finds.
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).expect("made");
    let theirs = tool("munin-node-configure", "munin-node")
        .args(["--shell", "--servicedir"])
        .arg(&empty)
        .output()
        .expect("it runs");
    let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
    let name = |line: &str| line.rsplit('/').next().map(|n| n.trim_end_matches('\'').to_owned());
    let theirs: std::collections::BTreeSet<String> =
        theirs.lines().filter(|l| l.starts_with("ln -s")).filter_map(name).collect();
    let said = folder.plimsoll(&["plugin", "suggest", "--apply"]).output().expect("it runs");
    assert!(said.status.success(), "{said:?}");
    let ours = std::fs::read_dir(&dir).expect("there").flatten();
    let ours: std::collections::BTreeSet<String> =
        ours.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(ours, theirs);
    let mut node = Node::start(&folder, &dir);
    let names = node.list();
    assert!(names.len() >= 15, "{said:?}: {names:?}");
    let before = look(&mut node, &names);
    let daemon = folder.start(&text);
    // Each has run twice, so that what it works out of two readings is there.
    eventually("all of them", Duration::from_secs(100), || {
        let behind: Vec<&String> = (names.iter())
            .filter(|n| {
                let key = format!("plimsoll_collect_success{{collector=\"plugin/{n}\"}}");
                timestamps(&folder.db(), &key).len() < 2
            })
            .collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?} {:?}", daemon.problems())) }
    });
    let graphs = daemon.json("/api/graphs");
    daemon.stop();
    let after = look(&mut node, &names);
    let fields: Vec<&str> = graphs
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|g| g["fields"].as_array().expect("fields"))
        .map(|f| f["series"].as_str().expect("a key"))
        .collect();
    let (mut compared, mut counters) = (0, 0);
    for (key, (kind, a)) in &before {
        let Some((_, b)) = after.get(key) else { continue };
        assert!(fields.contains(&key.as_str()), "plimsoll does not know {key}");
        // Where munin-node twice says nothing, so may plimsoll.
        let (Some(a), Some(b)) = (a, b) else { continue };
        let sql = format!(
            "select value from metrics where key = '{key}' and value is not null order by timestamp desc limit 1"
        );
        let found: f64 = match sqlite3(&folder.db(), &sql).parse() {
            Ok(found) => found,
            // What may fall has a rate, of which the first reading has none.
            Err(_) if *kind == Type::Derive => continue,
            Err(e) => panic!("{key}: {e}: {:?}", sqlite3(&folder.db(), &sql)),
        };
        compared += 1;
        match kind {
            Type::Counter | Type::Derive if fields_kind(&graphs, key) == "counter" => {
                counters += 1;
                assert!(*a <= found && found <= *b, "{key}: {a} {found} {b}");
            }
            // Rates that the plugin works out itself depend on when it was asked before, and how many
            // processes wait is another number at each moment.
            Type::Gauge
                if !["munin_diskstats", "munin_vmstat"].iter().any(|p| key.starts_with(p)) =>
            {
                // A machine does not stand still between two looks.
                let (low, high) = (a.min(*b), a.max(*b));
                let slack = (high - low) + low.abs().max(high.abs()) + 10.0;
                assert!(low - slack <= found && found <= high + slack, "{key}: {a} {found} {b}");
            }
            _ => {}
        }
    }
    println!("{} plugins, {compared} fields, {counters} of them counters", names.len());
    assert!(compared >= 100 && counters >= 30, "{compared} {counters}");
    // And none more than munin-node has.
    for key in &fields {
        assert!(
            before.contains_key(*key) || after.contains_key(*key),
            "munin-node does not know {key}"
        );
    }
}

fn fields_kind(graphs: &serde_json::Value, key: &str) -> String {
    let all = graphs.as_array().expect("a list").iter();
    let mut fields = all.flat_map(|g| g["fields"].as_array().expect("fields"));
    let field = fields.find(|f| f["series"] == key).expect("it is known");
    field["kind"].as_str().expect("a text").to_owned()
}

#[test]
fn a_check_of_nagios_runs() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    let program = "/usr/lib/nagios/plugins/check_load";
    assert!(Path::new(program).exists(), "apt-get install monitoring-plugins-basic");
    let more = format!(
        "[[plugin]]\nname = \"check_load\"\ncommand = [\"{program}\", \"-w\", \"900,900,900\", \"-c\", \"999,999,999\"]\n"
    );
    let daemon = folder.start(&config(&dir, &more));
    assert_eq!(value(&daemon, r#"munin_check_load{field="status"}"#), 0.0);
    assert!(value(&daemon, r#"munin_check_load{field="load1"}"#) >= 0.0);
    assert_eq!(value(&daemon, r#"munin_check_load{field="load1.warning_max"}"#), 900.0);
    daemon.stop();
}
