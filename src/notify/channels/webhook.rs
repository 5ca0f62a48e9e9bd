//! notify: a webhook of one's own, or of another program: a POST of the JSON that Alertmanager sends,
//! and signed on wish.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, mood};
use crate::notify::v4;
use crate::notify::way::{Line, Made, Row, Settings, Wire, post_json, word};
use crate::reach::{HttpRequest, basic};

const FORM: &str = "https://host/path#header=Name:value";
/// Shorter parts of a path are words and no secrets.
const SHORTEST: usize = 6;

/// The row of the table.
pub static ROW: Row = Row {
    name: "webhook",
    schemes: &["https", "http", "json", "jsons"],
    forms: &[
        "http[s]://[user:password@]host[:port]/path[?query][#hmac=KEY][&bearer=TOKEN][&header=Name:value]",
        "json[s]://[user:password@]host[:port]/path[?+Name=value]",
    ],
    example: "https://example.org/hooks/plimsoll#hmac=correct-horse-battery",
    picture: false,
    limit: "200 alerts",
    help: "A POST of Alertmanager's JSON, version 4, with more under `plimsoll`; any 2xx takes it.",
    make,
};

struct Webhook {
    url: String,
    headers: Vec<(String, String)>,
    /// Signs the body.
    key: Option<String>,
    /// Apprise's words stand in it, too.
    titled: bool,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let secure = matches!(target.scheme.as_str(), "https" | "jsons");
    let origin = target.origin(secure)?;
    let titled = target.scheme.starts_with("json");
    target.usual_secrets(secrets);
    for part in target.path.iter().filter(|part| part.len() >= SHORTEST) {
        secrets.add(part);
    }
    for (_, value) in target.query.iter().chain(&target.fragment) {
        secrets.add(value);
    }
    let mut headers = Vec::new();
    if let Some(user) = &target.user {
        let password = target.password.as_deref().unwrap_or_default();
        headers.push(("Authorization".to_owned(), basic(&format!("{user}:{password}"))));
    }
    let mut key = None;
    for (name, value) in &target.fragment {
        match (name.as_str(), value.split_once(':')) {
            ("hmac", _) => key = Some(value.clone()),
            ("bearer", _) => headers.push(("Authorization".into(), format!("Bearer {value}"))),
            ("header", Some((name, value))) => {
                secrets.add(value.trim());
                let name = word(Some(name), "the name of the header", FORM)?;
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            _ => {
                return Err(TargetError(format!(
                    "behind `#` may stand hmac=KEY, bearer=TOKEN and header=Name:value, joined by \
                     `&`, and this is something else: write {FORM}"
                )));
            }
        }
    }
    let url = if titled {
        let mut query = String::new();
        for (name, value) in &target.query {
            if let Some(name) = name.strip_prefix('+') {
                let name = word(Some(name), "the name of the header", ROW.forms[1])?;
                headers.push((name.to_owned(), value.clone()));
            } else if let Some(name) = name.strip_prefix('-') {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
                query.push('=');
                query.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        let behind = target.rest.trim_start_matches('/');
        let path = behind.split(['?', '#']).next().unwrap_or_default().split_once('/');
        format!("{origin}/{}{query}", path.map_or("", |(_, path)| path))
    } else {
        // Path and query go out as they were written.
        let whole = target.rest.split('#').next().unwrap_or_default();
        let behind = whole.trim_start_matches('/');
        let from = behind.find(['/', '?']).unwrap_or(behind.len());
        format!("{origin}{}", &behind[from..])
    };
    for (_, value) in &headers {
        secrets.add(value.rsplit(' ').next().unwrap_or_default());
    }
    let shown = format!("{}://{}/…", target.scheme, target.authority);
    Ok(Made::new(Webhook { url, headers, key, titled }, shown))
}

impl Webhook {
    fn request(&self, message: &Message) -> HttpRequest {
        let mut body = v4::json(message);
        if self.titled {
            body["title"] = Value::from(message.title.as_str());
            body["message"] = body["plimsoll"]["text"].clone();
            body["type"] = match mood(message) {
                Mood::Bad => "failure",
                Mood::Warning => "warning",
                Mood::Info => "info",
                Mood::Over => "success",
            }
            .into();
        }
        let mut request = post_json(&self.url, &body).with("Idempotency-Key", &message.key);
        if let Some(key) = &self.key {
            let signature = format!("sha256={}", hmac(key.as_bytes(), &request.body));
            request = request.with("X-Plimsoll-Signature", signature);
        }
        self.headers.iter().fold(request, |request, (name, value)| request.with(name, value))
    }
}

impl Wire for Webhook {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        line.ask(&self.request(message)).map_or_else(|outcome| outcome, |answer| by_status(&answer))
    }
}

/// HMAC-SHA256 (RFC 2104) in hexadecimal digits.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::hmac;

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        for (key, text, wanted) in [
            (
                &b"Jefe"[..],
                &b"what do ya want for nothing?"[..],
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hmac(key, text), wanted);
        }
    }
}
