//! reach, notify: any bytes as what a server of the web or of mail answers to a message: an outcome in
//! plain words, and in time.

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use plimsoll::notify::{ChannelSettings, Outcome, channel_of, test_message};
use plimsoll::reach::{SmtpServer, SmtpTls};

/// Kinds of receivers that are asked by HTTP at an address of one's own.
const WEB: &[&str] = &[
    "ntfy://127.0.0.1:PORT/topic",
    "http://127.0.0.1:PORT/hook",
    "gotify://127.0.0.1:PORT/AkVbB4DlFsvq1Xy",
    "matrix://token@127.0.0.1:PORT/!room:here",
    "mmost://127.0.0.1:PORT/3ccr8xezqbbs5nqxa9ajrtkz4h",
    "rocket://66f1a0c2e4/Yq3nTz8vKc2mWx7b@127.0.0.1:PORT/#ops",
    "alertmanager+http://127.0.0.1:PORT",
    "hc:http://127.0.0.1:PORT/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
];
const MAIL: &str = "me@example.org";

/// A server of this thread alone: says what it is given, then closes.
struct Server {
    port: u16,
    settings: Arc<ChannelSettings>,
    says: SyncSender<Vec<u8>>,
    done: Receiver<()>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (says, given) = sync_channel::<Vec<u8>>(1);
        let (ready, done) = sync_channel(1);
        std::thread::spawn(move || {
            while let Ok(bytes) = given.recv() {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let _closed = stream.write_all(&bytes);
                let _closed = stream.shutdown(std::net::Shutdown::Write);
                // Else what was sent would be answered with a reset, which takes the bytes away.
                let _closed = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let _closed = stream.read_to_end(&mut Vec::new());
                if ready.send(()).is_err() {
                    return;
                }
            }
        });
        Self { port, settings: settings(port), says, done }
    }
}

thread_local! {
    static SERVER: OnceCell<Server> = const { OnceCell::new() };
}

/// Mail goes to the server of this thread, in the clear.
fn settings(port: u16) -> Arc<ChannelSettings> {
    let (host, tls) = ("127.0.0.1".to_owned(), SmtpTls::Offered);
    let smtp = Some(SmtpServer { host, port, tls, login: None, ca: None });
    let usual = ChannelSettings::of_environment("here");
    Arc::new(ChannelSettings { http: Default::default(), credentials: None, smtp, ..usual })
}

pub fn run(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    let kind = usize::from(*kind);
    let target = if kind >= 128 { MAIL } else { WEB[kind % WEB.len()] };
    SERVER.with(|server| {
        let server = server.get_or_init(Server::new);
        let target = target.replace("PORT", &server.port.to_string());
        let channel = channel_of(&target, &server.settings).expect("right");
        server.says.send(said.to_vec()).expect("it runs");
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(2);
        let outcome = channel.send(&test_message("here", 1_700_000_000_000), None, deadline);
        let said = match outcome {
            Outcome::Sent { said } | Outcome::Retry { said, .. } | Outcome::Refused { said } => {
                said
            }
        };
        assert!(said.chars().count() <= 600 && !said.chars().any(char::is_control), "{said:?}");
        assert!(begun.elapsed() < Duration::from_secs(4));
        server.done.recv().expect("it was asked");
    });
}
