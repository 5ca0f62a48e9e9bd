//! notify: mail, by a server that takes it (SMTP) or by this machine's own sendmail.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::exec::outcome as by_program;
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, unreached};
use crate::notify::message::{Message, Picture};
use crate::notify::mime::{Envelope, mail};
use crate::notify::program::Program;
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::reach::{Letter, SmtpError, SmtpServer, SmtpTls, submit};

const FORM: &str = "me@example.org or mailto://user:password@host?to=me@example.org";

/// The row of the table.
pub static ROW: Row = Row {
    name: "mail",
    schemes: &["mailto", "mailtos"],
    forms: &[
        "me@example.org",
        "mailto:me@example.org[,you@example.org]",
        "mailto[s]://user:password@host[:port][?to=me@example.org][&from=…][&smtp=host][&mode=ssl|starttls|insecure]",
    ],
    example: "mailtos://me:secret-word@example.org?smtp=mail.example.org&to=me@example.org",
    picture: true,
    limit: "what the server takes",
    help: "A plain address needs [smtp] server, user and password, or a sendmail on this machine.",
    make,
};

/// Servers that take mail for the addresses of a domain, where they are not called by its name.
const KNOWN: &[(&str, &str, u16)] = &[
    ("gmail.com", "smtp.gmail.com", 465),
    ("googlemail.com", "smtp.gmail.com", 465),
    ("fastmail.com", "smtp.fastmail.com", 465),
    ("gmx.de", "mail.gmx.net", 465),
    ("gmx.net", "mail.gmx.net", 465),
    ("gmx.com", "mail.gmx.com", 465),
    ("web.de", "smtp.web.de", 465),
    ("posteo.de", "posteo.de", 465),
    ("mailbox.org", "smtp.mailbox.org", 465),
    ("icloud.com", "smtp.mail.me.com", 587),
    ("me.com", "smtp.mail.me.com", 587),
    ("yahoo.com", "smtp.mail.yahoo.com", 465),
    ("zoho.com", "smtp.zoho.com", 465),
    ("yandex.com", "smtp.yandex.com", 465),
];

/// Statuses of sysexits.h that may be better the next time: host unknown, service unavailable,
/// internal and system errors, input/output, try again, a talk that ended early.
const AGAIN: [i32; 7] = [68, 69, 70, 71, 74, super::exec::AGAIN, 76];

enum Out {
    Smtp(SmtpServer),
    Sendmail(PathBuf),
}

struct Mail {
    out: Out,
    from: String,
    to: Vec<String>,
    host: String,
}

fn make(
    target: &Target,
    secrets: &mut Secrets,
    settings: &ChannelSettings,
) -> Result<Made, TargetError> {
    target.usual_secrets(secrets);
    let (out, own, to) = match target.slashes {
        false => plain(target, settings)?,
        true => by_url(target)?,
    };
    if let Out::Smtp(SmtpServer { login: Some((user, password)), .. }) = &out {
        secrets.add(password);
        // As they stand on the wire.
        secrets.add(&crate::wire::base64::encode(password.as_bytes()));
        secrets.add(&crate::wire::base64::encode(format!("\0{user}\0{password}").as_bytes()));
    }
    for address in &to {
        check(address)?;
    }
    let host = host_name(&settings.host);
    let named = target.setting("from").filter(|from| from.contains('@')).map(str::to_owned);
    let from = named.or(settings.from.clone()).or(own);
    let from = from.unwrap_or_else(|| format!("plimsoll@{host}"));
    check(&from)?;
    let shown = format!("mailto:{}", to.join(","));
    Ok(Made::new(Mail { out, from, to, host }, shown))
}

type Found = (Out, Option<String>, Vec<String>);

/// `mailto:me@example.org`: by the server of the configuration, else by sendmail.
fn plain(target: &Target, settings: &ChannelSettings) -> Result<Found, TargetError> {
    let written = target.rest.split(['?', '#']).next().unwrap_or_default();
    let written = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
    let to = list(&written);
    let out = match &settings.smtp {
        Some(server) => Out::Smtp(server.clone()),
        None if settings.sendmail.is_file() => Out::Sendmail(settings.sendmail.clone()),
        None => {
            return Err(TargetError(format!(
                "mail to an address needs a server that takes it: write server, user, password \
                 and from below [smtp], or install a program as {} (msmtp-mta is a small one)",
                settings.sendmail.display()
            )));
        }
    };
    let own = settings.smtp.as_ref().and_then(|server| server.login.as_ref());
    let own = own.map(|(user, _)| user.clone()).filter(|user| user.contains('@'));
    Ok((out, own, to))
}

/// `mailto://user:password@host`: with its own server, as Apprise writes it.
fn by_url(target: &Target) -> Result<Found, TargetError> {
    let (domain, port) = target.server()?;
    let user = target.setting("user").or(target.user.as_deref());
    let password = target.setting("pass").or(target.password.as_deref());
    let known = KNOWN.iter().find(|(name, ..)| *name == domain.to_ascii_lowercase());
    let named = target.setting("smtp");
    let host = named.or(known.map(|known| known.1)).unwrap_or(domain).to_owned();
    let address = user.map(|user| match user.contains('@') {
        true => user.to_owned(),
        false => format!("{user}@{domain}"),
    });
    // Large houses want the whole address as the user.
    let user = if known.is_some() { address.as_deref() } else { user };
    let login = user.zip(password).map(|(user, password)| (user.to_owned(), password.to_owned()));
    let usual = match known.filter(|_| named.is_none()) {
        Some((.., port)) => *port,
        None if login.is_some() || target.scheme == "mailtos" => 587,
        None => 25,
    };
    let mode = target.setting("mode");
    let port = port.unwrap_or(if mode == Some("ssl") { 465 } else { usual });
    let tls = match mode {
        Some("ssl") => SmtpTls::FromStart,
        Some("starttls") => SmtpTls::Started,
        Some("insecure") if login.is_none() => SmtpTls::Offered,
        Some("insecure") => {
            return Err(TargetError(
                "`mailto:`: a password is sent within TLS only: write mode=starttls or mode=ssl"
                    .into(),
            ));
        }
        Some(_) => {
            return Err(TargetError("`mailto:`: a mode is ssl, starttls or insecure".into()));
        }
        None if port == 465 => SmtpTls::FromStart,
        None if port == 587 || login.is_some() || target.scheme == "mailtos" => SmtpTls::Started,
        None => SmtpTls::Offered,
    };
    let mut to: Vec<String> = target.setting("to").map(list).unwrap_or_default();
    to.extend(target.path.iter().filter(|part| part.contains('@')).cloned());
    if to.is_empty() {
        to.extend(address.clone());
    }
    if to.is_empty() {
        return Err(TargetError(format!("the receiver is missing: write {FORM}")));
    }
    Ok((Out::Smtp(SmtpServer { host, port, tls, login, ca: None }), address, to))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect()
}

/// An address goes into commands and headers as it is.
fn check(address: &str) -> Result<(), TargetError> {
    let odd = |what: &str| Err(TargetError(format!("`{address}` {what}: write {FORM}")));
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"".contains(c);
    match address.rsplit_once('@') {
        Some((_, domain)) if !domain.is_ascii() => {
            odd("has a domain with other letters than ASCII, which has to be written as xn--…")
        }
        Some((user, domain))
            if !user.is_empty() && !domain.is_empty() && address.chars().all(fits) =>
        {
            Ok(())
        }
        _ => odd("is no address of mail"),
    }
}

/// The name with which this machine greets.
fn host_name(host: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match host {
        "" => "localhost".into(),
        host if host.chars().all(fits) => host.to_owned(),
        host => host.chars().map(|c| if fits(c) { c } else { '-' }).collect(),
    }
}

impl Mail {
    fn mail(&self, message: &Message, picture: Option<&Picture>) -> Vec<u8> {
        let zone = TimeZone::system();
        let envelope = Envelope { from: &self.from, to: &self.to, host: &self.host, zone };
        mail(message, picture, &envelope)
    }
}

impl Wire for Mail {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let mail = self.mail(message, picture);
        match &self.out {
            Out::Smtp(server) => {
                let ca = server.ca.clone().or_else(|| line.settings.http.ca.clone());
                let server = SmtpServer { ca, ..server.clone() };
                let letter =
                    Letter { hello: &self.host, from: &self.from, to: &self.to, mail: &mail };
                match submit(&server, &letter, line.deadline) {
                    Ok(said) => Outcome::Sent { said },
                    Err(e) => refused(e),
                }
            }
            Out::Sendmail(path) => {
                let mut arguments: Vec<String> =
                    ["-i", "-f", &self.from, "--"].into_iter().map(str::to_owned).collect();
                arguments.extend(self.to.iter().cloned());
                // Its lines end as those of this machine do.
                let mail: Vec<u8> = mail.into_iter().filter(|byte| *byte != b'\r').collect();
                let program = Program {
                    path,
                    arguments,
                    environment: vec![
                        ("PATH", line.settings.path.to_string_lossy().into_owned()),
                        ("LANG", "C.UTF-8".into()),
                        ("HOME", "/nonexistent".into()),
                    ],
                    input: &mail,
                    picture: None,
                };
                by_program(program.run(line.deadline), "sendmail", |s| AGAIN.contains(&s))
            }
        }
    }
}

/// A code from 500 on stays; from 400 on it passes.
fn refused(e: SmtpError) -> Outcome {
    match e {
        SmtpError::Reach(e) => unreached(e),
        SmtpError::TooLarge(most) => Outcome::Refused {
            said: format!("the mail is too large: the server takes {most} bytes"),
        },
        SmtpError::Refused { code, said, to } => {
            let said = format!("{code} {said} (to {to})");
            let advice = match (code, to) {
                (..500, _) => return Outcome::Retry { said, after: None },
                (534 | 535, _) => "check user and password; large houses want a password for apps",
                (530 | 538, _) => "it wants a login or TLS: check user, password and mode",
                (_, "MAIL") => "the server does not take mail from this sender: check `from`",
                (_, "RCPT") => "check the address, or whether the server wants a login",
                _ => "the server's words say why",
            };
            Outcome::Refused { said: format!("{said}; {advice}") }
        }
    }
}
