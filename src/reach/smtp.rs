//! reach: hands a mail to a server by SMTP (RFC 5321): TLS from the start or by STARTTLS, and a login
//! within TLS only.
//!
//! Bounds: one deadline for all of it, 512 bytes a line and 100 lines of an answer.

use std::path::PathBuf;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::connect::{ReachError, Stream, Trusted, before, connect, hide, plain};
use crate::wire::base64;

const MAX_LINE: u64 = 512 * 4;
const MAX_LINES: usize = 100;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// At once: port 465.
    FromStart,
    /// By STARTTLS, and without it nothing is sent: port 587.
    Started,
    /// By STARTTLS where the server has it, with any certificate, as mail servers do it between
    /// themselves: port 25. A login needs a certificate that is trusted.
    Offered,
}

/// The server that takes mails.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub tls: SmtpTls,
    /// User and password.
    pub login: Option<(String, String)>,
    /// A file in PEM with the certificates that are trusted; nothing: the system's authorities.
    pub ca: Option<PathBuf>,
}

/// Shows no password.
impl std::fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SmtpServer({}:{}, {:?})", self.host, self.port, self.tls)
    }
}

/// A mail with its envelope.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The name of this machine.
    pub hello: &'a str,
    /// Where a server reports that it could not deliver: an address.
    pub from: &'a str,
    /// Addresses.
    pub to: &'a [String],
    /// Header lines and text in ASCII, each line ended by CR LF.
    pub mail: &'a [u8],
}

/// Why a server did not take a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpError {
    /// It was not reached, or the talk ended early.
    Reach(ReachError),
    /// It answered no: the code, its words, and what it answered to.
    Refused {
        /// 450, 550.
        code: u16,
        /// In its words, with the enhanced code where there is one.
        said: String,
        /// The command: `RCPT`.
        to: &'static str,
    },
    /// The mail is longer than the server takes, in bytes.
    TooLarge(usize),
}

impl From<ReachError> for SmtpError {
    fn from(e: ReachError) -> Self {
        Self::Reach(e)
    }
}

/// Hands it over, until the deadline at the latest; the server's own words. Where it refuses some of
/// several receivers for good, the others get it and the words say so. Not to be called within a
/// runtime.
///
/// # Errors
/// Nobody gets the mail then.
pub fn submit(
    server: &SmtpServer,
    letter: &Letter<'_>,
    deadline: Instant,
) -> Result<String, SmtpError> {
    let mut outcome = Err(SmtpError::Reach(ReachError::Passing(String::new())));
    before(deadline, async {
        outcome = hand_over(server, letter).await;
        Ok(())
    })?;
    outcome
}

/// An answer: its code, and its lines in one.
struct Reply {
    code: u16,
    said: String,
    lines: Vec<String>,
}

struct Talk {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
    /// What the server can, from its answer to EHLO, in capital letters.
    can: Vec<String>,
}

async fn hand_over(server: &SmtpServer, letter: &Letter<'_>) -> Result<String, SmtpError> {
    let tcp = connect(&server.host, server.port).await?;
    submit_on(tcp, server, letter).await
}

/// Hands it over on a connection that is open; see [`submit`]. It needs a runtime, and no network.
///
/// # Errors
/// Nobody gets the mail then.
pub async fn submit_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: &SmtpServer,
    letter: &Letter<'_>,
) -> Result<String, SmtpError> {
    let trusted = match (&server.ca, server.tls, &server.login) {
        (Some(path), ..) => Trusted::File(path),
        (None, SmtpTls::Offered, None) => Trusted::Any,
        (None, ..) => Trusted::System,
    };
    let mut secret = server.tls == SmtpTls::FromStart;
    let stream: Box<dyn Stream> =
        if secret { hide(stream, &server.host, trusted).await? } else { Box::new(stream) };
    let mut talk =
        Talk { stream: BufReader::new(stream), host: server.host.clone(), can: Vec::new() };
    talk.expect("connect", 220).await?;
    talk.greet(letter.hello).await?;
    if !secret && server.tls != SmtpTls::FromStart {
        if talk.can("STARTTLS").is_some() {
            talk.order("STARTTLS", "STARTTLS", 220).await?;
            if !talk.stream.buffer().is_empty() {
                // Somebody on the way put words into the server's mouth.
                return Err(talk.passing("it said more before TLS began").into());
            }
            let stream = hide(talk.stream.into_inner(), &server.host, trusted).await?;
            talk = Talk { stream: BufReader::new(stream), host: server.host.clone(), can: vec![] };
            talk.greet(letter.hello).await?;
            secret = true;
        } else if server.tls == SmtpTls::Started {
            return Err(talk
                .lasting(
                    "it does not offer STARTTLS at this port: try port 465 with TLS from the start",
                )
                .into());
        }
    }
    if let Some((user, password)) = &server.login {
        if !secret {
            return Err(talk.lasting("it has no TLS, and a password is not sent without").into());
        }
        talk.log_in(user, password).await?;
    }
    let said = talk.send(letter).await?;
    // It has the mail; how it says good-bye does not matter.
    let _gone = talk.write("QUIT\r\n").await;
    Ok(said)
}

impl Talk {
    fn passing(&self, what: &str) -> ReachError {
        ReachError::Passing(format!("{}: {what}", self.host))
    }

    fn lasting(&self, what: &str) -> ReachError {
        ReachError::Lasting(format!("{}: {what}", self.host))
    }

    /// What stands behind a word that the server said to EHLO.
    fn can(&self, word: &str) -> Option<&str> {
        self.can.iter().find_map(|line| {
            let behind = line.strip_prefix(word)?;
            (behind.is_empty() || behind.starts_with([' ', '=']))
                .then(|| behind.trim_start_matches(['=', ' ']))
        })
    }

    async fn greet(&mut self, hello: &str) -> Result<(), SmtpError> {
        self.write(&format!("EHLO {hello}\r\n")).await?;
        let reply = self.reply("EHLO").await?;
        match reply.code {
            250 => {
                self.can = reply.lines.iter().skip(1).map(|l| l.to_ascii_uppercase()).collect();
                Ok(())
            }
            // A server without extensions.
            500..=504 => self.order("HELO", &format!("HELO {hello}"), 250).await.map(drop),
            _ => Err(reply.refused("EHLO")),
        }
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), SmtpError> {
        let ways = self.can("AUTH").unwrap_or_default().to_owned();
        let has = |way: &str| ways.split_whitespace().any(|w| w == way);
        if has("PLAIN") {
            let words = base64::encode(format!("\0{user}\0{password}").as_bytes());
            self.order("AUTH", &format!("AUTH PLAIN {words}"), 235).await?;
        } else if has("LOGIN") {
            self.order("AUTH", "AUTH LOGIN", 334).await?;
            self.order("AUTH", &base64::encode(user.as_bytes()), 334).await?;
            self.order("AUTH", &base64::encode(password.as_bytes()), 235).await?;
        } else {
            let offered = if ways.is_empty() { "none" } else { &ways };
            return Err(self
                .lasting(&format!(
                    "it offers no login by PLAIN or LOGIN (it offers {offered}): leave out user and \
                     password, or ask its maker for another port"
                ))
                .into());
        }
        Ok(())
    }

    async fn send(&mut self, letter: &Letter<'_>) -> Result<String, SmtpError> {
        let mut options = String::new();
        if let Some(most) = self.can("SIZE") {
            let most = most.parse().unwrap_or(0);
            if most > 0 && letter.mail.len() > most {
                return Err(SmtpError::TooLarge(most));
            }
            options = format!(" SIZE={}", letter.mail.len());
        }
        let plain_names = letter.from.is_ascii() && letter.to.iter().all(|to| to.is_ascii());
        if !plain_names {
            if self.can("SMTPUTF8").is_none() {
                let why = "it takes no address with other letters than ASCII";
                return Err(self.lasting(why).into());
            }
            options.push_str(" SMTPUTF8");
        }
        self.order("MAIL", &format!("MAIL FROM:<{}>{options}", letter.from), 250).await?;
        let mut refused: Vec<(String, SmtpError)> = Vec::new();
        for to in letter.to {
            match self.order("RCPT", &format!("RCPT TO:<{to}>"), 250).await {
                Ok(_) => {}
                // The others would get it again with every attempt; so nobody gets it now.
                Err(e @ SmtpError::Refused { code: 500.., .. }) => refused.push((to.clone(), e)),
                Err(e) => return Err(e),
            }
        }
        if refused.len() == letter.to.len()
            && let Some((_, e)) = refused.pop()
        {
            return Err(e);
        }
        self.order("DATA", "DATA", 354).await?;
        self.write_bytes(&dotted(letter.mail)).await?;
        let mut said = self.expect("the mail", 250).await?;
        for (to, e) in refused {
            if let SmtpError::Refused { code, said: why, .. } = e {
                said.push_str(&format!("; but not for {to}: {code} {why}"));
            }
        }
        Ok(said)
    }

    async fn write(&mut self, text: &str) -> Result<(), ReachError> {
        self.write_bytes(text.as_bytes()).await
    }

    async fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), ReachError> {
        let stream = self.stream.get_mut();
        let done = match stream.write_all(bytes).await {
            Ok(()) => stream.flush().await,
            Err(e) => Err(e),
        };
        done.map_err(|e| self.passing(&plain(&e)))
    }

    /// Says a line and waits for this code.
    async fn order(
        &mut self,
        name: &'static str,
        line: &str,
        code: u16,
    ) -> Result<String, SmtpError> {
        self.write(&format!("{line}\r\n")).await?;
        self.expect(name, code).await
    }

    /// Waits for this code, or another one that says the same (251).
    async fn expect(&mut self, to: &'static str, code: u16) -> Result<String, SmtpError> {
        let reply = self.reply(to).await?;
        match reply.code == code || code == 250 && (251..=252).contains(&reply.code) {
            true => Ok(format!("{} {}", reply.code, reply.said)),
            false => Err(reply.refused(to)),
        }
    }

    async fn reply(&mut self, to: &str) -> Result<Reply, ReachError> {
        let mut lines: Vec<String> = Vec::new();
        while lines.len() < MAX_LINES {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(MAX_LINE).read_until(b'\n', &mut line).await;
            match read {
                Ok(0) => {
                    return Err(self.passing(&format!("it hung up before it answered to {to}")));
                }
                Ok(_) => {}
                Err(e) => return Err(self.passing(&format!("{to}: {}", plain(&e)))),
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                return Err(self.passing("what answers there is no mail server"));
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if !line.get(3..).unwrap_or_default().starts_with('-') {
                return Ok(Reply { code, said: lines.join(" "), lines });
            }
        }
        Err(self.passing(&format!("its answer to {to} has no end")))
    }
}

impl Reply {
    fn refused(self, to: &'static str) -> SmtpError {
        SmtpError::Refused { code: self.code, said: self.said, to }
    }
}

/// With a second dot before each line that begins with one, and the dot that ends it.
fn dotted(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 16);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::dotted;

    #[test]
    fn a_line_of_one_dot_does_not_end_the_mail() {
        assert_eq!(dotted(b"a\r\n.\r\n..b\r\nc"), b"a\r\n..\r\n...b\r\nc\r\n.\r\n");
        assert_eq!(dotted(b""), b"\r\n.\r\n");
    }
}
