//! Senders on another machine: a network namespace of the daemon's own, and one for the sender,
//! with a cable between them. No address of this machine is touched.

use std::path::Path;
use std::process::Command;

use super::access::certificate;
use crate::support::*;

const HERE: &str = "10.187.6.1";

/// Lays the cable, then becomes the daemon. The other end is held by a process that goes with it.
const SCRIPT: &str = r#"
set -e
ip link set lo up
setpriv --pdeathsig KILL unshare --net sleep 600 &
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add here type veth peer name there netns $!
ip addr add 10.187.6.1/24 dev here
ip link set here up
nsenter --net=/proc/$!/ns/net sh -c 'ip link set lo up; ip addr add 10.187.6.2/24 dev there; ip link set there up'
echo $! > peer
exec "$0" "$@"
"#;

struct Net {
    folder: Folder,
    daemon: Daemon,
    peer: String,
}

impl Net {
    fn start(folder: Folder, config: &str) -> Self {
        for (name, package) in [("ip", "iproute2"), ("setpriv", "util-linux"), ("sh", "dash")] {
            tool(name, package);
        }
        folder.configure(config);
        let mut command = tool("unshare", "util-linux");
        command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
        command.args(["--map-root-user", "--net", "sh", "-c", SCRIPT, PLIMSOLL, "run", "--db"]);
        command.arg(folder.db()).arg("--config").arg(folder.join("plimsoll.toml"));
        command.current_dir(folder.path());
        let daemon = Daemon::spawn(command, &folder.join("log"));
        daemon.ready(PATIENCE);
        let peer = std::fs::read_to_string(folder.join("peer")).expect("a process id");
        Self { peer: peer.trim().to_owned(), folder, daemon }
    }

    /// A program on the other machine.
    fn there(&self, program: &str) -> Command {
        let mut command = tool("nsenter", "util-linux");
        command.args([
            "--target",
            &self.peer,
            "--user",
            "--net",
            "--preserve-credentials",
            program,
        ]);
        command
    }

    /// The status curl saw there, or its complaint.
    fn curl(&self, words: &[&str]) -> String {
        tool("curl", "curl");
        let mut command = self.there("curl");
        command.args(["-s", "-S", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}"]).args(words);
        let said = run(&mut command);
        if said.status.success() { said.out } else { said.err }
    }
}

fn tls(folder: &Folder) -> String {
    certificate(folder, "monitor", &format!("IP:{HERE}"));
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", cert.display(), key.display())
}

fn trusting(cert: &Path) -> [String; 2] {
    ["--cacert".to_owned(), cert.display().to_string()]
}

#[test]
fn nobody_elsewhere_is_served_before_there_is_a_token_and_then_by_tls() {
    let folder = Folder::new();
    let http = format!("[http]\nlisten = \"{HERE}:1876\"\n{}", tls(&folder));
    let net = Net::start(folder, &format!("interval = \"100ms\"\n{http}"));
    let [cacert, cert] = trusting(&net.folder.join("cert.pem"));
    let url = format!("https://{HERE}:1876/api/push");
    let body = "{\"key\": \"far\", \"value\": 1}";
    net.daemon.says("is not served before there is a token: plimsoll token add");
    let said = net.curl(&[&cacert, &cert, "-d", body, &url]);
    assert!(said.contains("timed out"), "the place is taken, and nobody answers: {said}");
    // The first token lets it begin, without a restart.
    let token = |name: &str, scope: &str| {
        let words = ["token", "add", name, "--scope", scope];
        format!("Authorization: Bearer {}", net.folder.ask(&words).well().trim())
    };
    let reader = token("grafana", "read");
    eventually("it begins to answer", PATIENCE, || {
        match net.curl(&[&cacert, &cert, "-d", body, &url]).as_str() {
            "401" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    let sender = token("web1", "push");
    for (header, status) in
        [(&*sender, "200"), (&reader, "403"), ("Authorization: Bearer plimsoll_no", "401")]
    {
        assert_eq!(net.curl(&[&cacert, &cert, "-H", header, "-d", body, &url]), status);
    }
    let metrics = format!("https://{HERE}:1876/metrics");
    assert_eq!(net.curl(&[&cacert, &cert, "-H", &reader, &metrics]), "200");
    assert_eq!(net.curl(&[&cacert, &cert, &metrics]), "401");
    // Nothing is said to who does not speak TLS, token or not.
    let plain = url.replace("https:", "http:");
    assert!(!net.curl(&["-H", &sender, "-d", body, &plain]).starts_with('2'));
    let stored = "select value from metrics where key = 'far'";
    eventually("the value", PATIENCE, || match &*sqlite3(&net.daemon.db, stored) {
        "1.0" => Ok(()),
        other => Err(other.to_owned()),
    });
    net.daemon.stop();
}

#[test]
fn statsd_and_graphite_from_elsewhere_only_when_that_is_asked_for() {
    let folder = Folder::new();
    let config = |remote: &str| {
        format!(
            "interval = \"100ms\"\n[http]\nlisten = \"off\"\n\
             [statsd]\nlisten = \"{HERE}:8125\"\nflush = \"1s\"\n{remote}\
             [graphite]\nlisten = \"{HERE}:2003\"\n{remote}"
        )
    };
    folder.configure(&config(""));
    let said = folder.ask(&["check-config"]).refused();
    for what in ["statsd has no passwords", "Graphite's protocol has no passwords"] {
        assert!(said.contains(what), "{said}");
    }
    let net = Net::start(folder, &config("remote = true\n"));
    tool("bash", "bash");
    let text = format!(
        "echo -n 'far.hits:3|c' > /dev/udp/{HERE}/8125; \
         echo 'far.load 0.5 1700000000' > /dev/tcp/{HERE}/2003; \
         echo 'far.load 1.5 1700000001' > /dev/udp/{HERE}/2003"
    );
    run(net.there("bash").args(["-c", &text])).well();
    let stored = "select group_concat(value, ' ') from
                  (select value from metrics where key = 'far.load' order by timestamp)";
    eventually("Graphite's lines", PATIENCE, || match &*sqlite3(&net.daemon.db, stored) {
        "0.5 1.5" => Ok(()),
        other => Err(other.to_owned()),
    });
    let hits = "select max(value) from metrics where key = 'far.hits'";
    eventually("the counter", PATIENCE, || match &*sqlite3(&net.daemon.db, hits) {
        "3.0" => Ok(()),
        other => Err(other.to_owned()),
    });
    net.daemon.stop();
}
