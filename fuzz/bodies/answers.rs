//! reach, notify: any bytes as what others answer: a web server, a proxy, a mail server, a node of Munin.
//! An outcome in plain words, and an end. No network: the bytes stand for what comes on a connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::notify::{ChannelSettings, Message, Outcome, answered, test_message};
use plimsoll::reach::{
    HttpRequest, Letter, SmtpError, SmtpServer, SmtpTls, Wish, ask_http_on, ask_node_on,
    pass_proxy, submit_on,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Each kind of receiver that is asked by HTTP.
const WEB: &[&str] = &[
    "ntfy:topic",
    "https://h/hook",
    "gotify://h/AkVbB4DlFsvq1Xy",
    "matrix://token@h/!room:here",
    "matrix://token@h/#room:here",
    "mmost://h/3ccr8xezqbbs5nqxa9ajrtkz4h",
    "rocket://66f1a0c2e4/Yq3nTz8vKc2mWx7b@h/#ops",
    "alertmanager+http://h",
    "hc:http://h/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
    "tgram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/-1001234567890",
    "https://discord.com/api/webhooks/123456789012345678/AbCdEfGhIjKlMnOpQrStUvWxYz",
    "https://hooks.slack.com/services/T0AAAA/B0BBBB/abcdefghijkl",
    "https://o.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d",
];

/// A connection on which `said` comes, in pieces; then the other side closes. What is sent is taken.
struct Canned {
    said: Vec<u8>,
    at: usize,
    piece: usize,
    /// The other side waits until something was sent.
    waits: bool,
    sleeper: Option<Waker>,
}

impl Canned {
    fn new(said: &[u8], piece: usize, waits: bool) -> Self {
        Self { said: said.to_vec(), at: 0, piece: piece.max(1), waits, sleeper: None }
    }
}

impl AsyncRead for Canned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waits {
            self.sleeper = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = &self.said[self.at..];
        let count = rest.len().min(self.piece).min(into.remaining());
        into.put_slice(&rest[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Canned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = false;
        if let Some(sleeper) = self.sleeper.take() {
            sleeper.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fn wait<T>(talk: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(talk))
}

static SETTINGS: LazyLock<Arc<ChannelSettings>> =
    LazyLock::new(|| Arc::new(ChannelSettings { host: "here".into(), ..Default::default() }));
static MESSAGE: LazyLock<Message> = LazyLock::new(|| test_message("here", 1_700_000_000_000));

/// The first byte chooses the receiver and how long the pieces are; 255 is a proxy.
pub fn http(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    let (kind, piece) = (usize::from(*kind), usize::from(*kind) * 7 + 1);
    if kind == 255 {
        let passed = wait(pass_proxy(Canned::new(said, piece, true), "p", Some("u:p"), "h:443"));
        match passed {
            Ok(rest) => assert!(rest.said[..rest.at].ends_with(b"\r\n\r\n")),
            Err(e) => assert!(!e.to_string().contains(char::is_control), "{e}"),
        }
        return;
    }
    let request = HttpRequest::post("http://h/", "text/plain", "a");
    let answer = match wait(ask_http_on(Canned::new(said, piece, true), &request)) {
        Ok(answer) => answer,
        Err(e) => {
            assert!(!e.to_string().is_empty());
            return;
        }
    };
    assert!(answer.body.len() <= said.len() && answer.body.len() <= 64 << 10);
    let asks = |_: &HttpRequest| Ok(answer.clone());
    let target = WEB[kind % WEB.len()];
    let said = match answered(target, &SETTINGS, &MESSAGE, &asks).expect("a right target") {
        Outcome::Sent { said } | Outcome::Retry { said, .. } | Outcome::Refused { said } => said,
    };
    assert!(said.chars().count() <= 200 && !said.chars().any(char::is_control), "{said:?}");
}

/// The first byte chooses when TLS begins, whether there is a login, and how long the pieces are.
pub fn mail(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    let tls = if kind % 4 == 0 { SmtpTls::Started } else { SmtpTls::Offered };
    let login = (kind % 8 == 1).then(|| ("user".to_owned(), "password".to_owned()));
    let server = SmtpServer { host: "h".into(), port: 25, tls, login, ca: None };
    let to = ["me@example.org".to_owned(), "ü@example.org".to_owned()];
    let to = &to[..1 + usize::from(kind % 3 == 0)];
    let letter = Letter { hello: "here", from: "a@here", to, mail: b"Subject: a\r\n\r\n.b\r\n" };
    let piece = if kind % 2 == 0 { 1 } else { 4_096 };
    match wait(submit_on(Canned::new(said, piece, false), &server, &letter)) {
        Ok(words) => assert!(words.starts_with("25"), "{words}"),
        Err(SmtpError::Refused { code, .. }) => assert!((200..600).contains(&code)),
        Err(SmtpError::TooLarge(most)) => assert!(most < letter.mail.len()),
        Err(SmtpError::Reach(e)) => assert!(!e.to_string().is_empty()),
    }
}

/// What a node of Munin says to a master from its greeting on.
pub fn node(data: &[u8]) {
    let mut taken = 0;
    let asked = wait(ask_node_on(
        Canned::new(data, 4_096, false),
        Duration::from_secs(60),
        |name| assert!(!name.is_empty()),
        |host, plugin| {
            assert!(!plugin.is_empty() && host.is_none_or(|host| !host.is_empty()));
            Some(Wish { order: plugin.len() as u8, config: plugin.len() % 2 == 0 })
        },
        |told| {
            taken += [told.config, told.values].iter().flatten().map(Vec::len).sum::<usize>();
        },
    ));
    assert!(taken <= data.len());
    if let Err(e) = asked {
        assert!(!e.to_string().is_empty());
    }
}
