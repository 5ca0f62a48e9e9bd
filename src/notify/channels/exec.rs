//! notify: a program of one's own: it gets the JSON of a webhook as its input and the message in its
//! environment, and says by its status how it went.

use std::path::PathBuf;

use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::program::{Ended, Handed, Program};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Room, below};
use crate::notify::v4;
use crate::notify::way::{Line, Made, Row, Settings, Wire};

/// In the environment; the JSON holds all of it.
const TEXT: Room = Room::bytes(32_000);
/// Shorter arguments are words and no secrets.
const SHORTEST: usize = 6;

/// The row of the table.
pub static ROW: Row = Row {
    name: "exec",
    schemes: &["exec"],
    forms: &["exec:/path/to/program argument \"another argument\""],
    example: "exec:/usr/local/bin/tell-me loudly",
    picture: true,
    limit: "none",
    help: "JSON on its input, PLIMSOLL_TITLE, PLIMSOLL_TEXT and more in its environment; status 0: sent, 75: try again.",
    make,
};

struct Exec {
    path: PathBuf,
    arguments: Vec<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let mut words = words(&target.rest)?.into_iter();
    let path = words.next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(TargetError(
            "`exec:` wants the whole path of a program: write exec:/path/to/program".into(),
        ));
    }
    let arguments: Vec<String> = words.collect();
    for argument in &arguments {
        let secret = argument.rsplit('=').next().unwrap_or_default();
        if secret.len() >= SHORTEST && !secret.starts_with('-') {
            secrets.add(secret);
        }
    }
    let shown = format!("exec:{path}");
    Ok(Made::new(Exec { path: path.into(), arguments }, shown))
}

/// The words of a line: white space parts them, quotes hold them together.
fn words(line: &str) -> Result<Vec<String>, TargetError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.trim().chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        None => Ok(words),
        Some(quote) => Err(TargetError(format!("`exec:`: a {quote} has no partner"))),
    }
}

/// What a program of somebody finds in its environment.
fn environment(
    line: &Line<'_>,
    message: &Message,
    picture: Option<&Handed>,
) -> Vec<(&'static str, String)> {
    let occasion = serde_json::to_value(message.occasion).unwrap_or_default();
    let mut out = vec![
        ("PATH", line.settings.path.to_string_lossy().into_owned()),
        ("LANG", "C.UTF-8".into()),
        ("PLIMSOLL_TITLE", message.title.clone()),
        ("PLIMSOLL_TEXT", TEXT.lines(below(message))),
        ("PLIMSOLL_SEVERITY", message.severity.word().into()),
        ("PLIMSOLL_OCCASION", occasion.as_str().unwrap_or_default().into()),
        ("PLIMSOLL_STATUS", v4::status(message).into()),
        ("PLIMSOLL_HOST", message.host.clone()),
        ("PLIMSOLL_KEY", message.key.clone()),
        ("PLIMSOLL_THREAD", message.thread.clone()),
    ];
    if let Some(link) = &message.link {
        out.push(("PLIMSOLL_LINK", link.clone()));
    }
    if let Some(picture) = picture {
        out.push(("PLIMSOLL_PICTURE", picture.path()));
    }
    out
}

/// How a program's end is an outcome: 0 is sent, `again` may be tried again.
pub(super) fn outcome(ended: Ended, name: &str, again: impl Fn(i32) -> bool) -> Outcome {
    let first = |said: &str| said.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().to_owned();
    let with = |said: &str| match first(said) {
        said if said.is_empty() => said,
        said => format!(": {said}"),
    };
    match ended {
        Ended::By(0, said) => Outcome::Sent { said: format!("{name} has it{}", with(&said)) },
        Ended::By(status, said) if again(status) => Outcome::Retry {
            said: format!("{name} ended with status {status}{}", with(&said)),
            after: None,
        },
        Ended::By(status, said) => Outcome::Refused {
            said: format!("{name} ended with status {status}{}", with(&said)),
        },
        Ended::Signal(signal) => Outcome::Retry {
            said: format!("{name} was ended by signal {signal}"),
            after: None,
        },
        Ended::Late(after) => Outcome::Retry {
            said: format!("{name} had not ended after {} s, and was killed", after.as_secs()),
            after: None,
        },
        Ended::Not(why) => Outcome::Refused { said: why },
    }
}

/// The status by which a program asks for another attempt (EX_TEMPFAIL of sysexits.h).
pub(super) const AGAIN: i32 = 75;

impl Wire for Exec {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let json = v4::json(message).to_string();
        // Without memory for it there is no picture.
        let picture = picture.and_then(|picture| Handed::new(&picture.png).ok());
        let program = Program {
            path: &self.path,
            arguments: self.arguments.clone(),
            environment: environment(line, message, picture.as_ref()),
            input: json.as_bytes(),
            picture: picture.as_ref(),
        };
        let name = self.path.display().to_string();
        outcome(program.run(line.deadline), &name, |status| status == AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_has_words() {
        for (line, wanted) in [
            ("/a", vec!["/a"]),
            (" /a  b\t'c d' \"e'f\" g\"h i\" '' ", vec!["/a", "b", "c d", "e'f", "gh i", ""]),
            ("", vec![]),
        ] {
            let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            assert_eq!(words(line), Ok(wanted), "{line}");
        }
        assert!(words("/a 'b").is_err());
    }
}
