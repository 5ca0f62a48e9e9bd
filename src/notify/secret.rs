//! notify: secrets of a target: where they are read from, and how they stay out of all that is shown.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::collect::regular;

/// A token is some hundred bytes long, a whole target some more.
const MAX_BYTES: u64 = 8_192;

/// Stands where a secret stood.
const HIDDEN: &str = "…";

const CREDENTIALS: &str = "${CREDENTIALS_DIRECTORY}/";
const FILE: &str = "${file:";

/// What may not stand as it is in the path of a URL. Slashes may: a file can hold several parts.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'&')
    .add(b'+');

/// The secrets of one target.
#[derive(Default, Clone)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a secret, and the forms in which a receiver may repeat it: as in a URL and as in JSON.
    pub fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let in_url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let in_path = utf8_percent_encode(secret, IN_PATH).to_string();
        let in_json = serde_json::to_string(secret).unwrap_or_default();
        let in_json = in_json.trim_matches('"').to_owned();
        for form in [secret.to_owned(), in_url, in_path, in_json] {
            if !form.is_empty() && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // A secret may be part of another one.
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// The text without them.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

/// Shows how many they are, and none of them.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// The target with the contents of files in the place of `${file:/path}` and
/// `${CREDENTIALS_DIRECTORY}/name`. `credentials` is the folder that systemd made for the service.
/// White space at the ends of a file is no part of it.
///
/// # Errors
/// A file that cannot be read, or a place that does not end, as a sentence.
pub fn filled(target: &str, credentials: Option<&Path>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = target.trim();
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (path, length) = place(from, credentials)?;
        let secret = regular::read_text(&path, MAX_BYTES)
            .map_err(|e| format!("{} with a secret cannot be read: {e}", path.display()))?;
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(format!("{} holds no secret: it is empty", path.display()));
        }
        let whole = before.is_empty() && out.is_empty() && from.len() == length;
        let in_path = out.split_once("://").is_some_and(|(_, behind)| behind.contains('/'));
        let in_query = out.contains(['?', '#']);
        match (whole, in_path && !in_query) {
            // The file holds the target itself.
            (true, _) => out.push_str(secret),
            (_, true) => out.extend(utf8_percent_encode(secret, IN_PATH)),
            (_, false) => out.extend(utf8_percent_encode(secret, NON_ALPHANUMERIC)),
        }
        rest = &from[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The file that the place at the beginning of the text names, and the length of that place.
fn place(text: &str, credentials: Option<&Path>) -> Result<(PathBuf, usize), String> {
    if let Some(after) = text.strip_prefix(CREDENTIALS) {
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
        let name = &after[..length.unwrap_or(after.len())];
        if name.is_empty() || name.starts_with('.') {
            return Err(format!("{CREDENTIALS} wants the name of a credential behind it"));
        }
        let folder = credentials.ok_or_else(|| {
            format!(
                "{CREDENTIALS}{name} is there only where systemd runs plimsoll: add \
                 `LoadCredential={name}:/path` to the unit, or write ${{file:/path}}"
            )
        })?;
        return Ok((folder.join(name), CREDENTIALS.len() + name.len()));
    }
    let Some((path, _)) = text.strip_prefix(FILE).and_then(|after| after.split_once('}')) else {
        return Err("`${` begins the place of a secret: write ${file:/path} or \
                    ${CREDENTIALS_DIRECTORY}/name"
            .into());
    };
    if !path.starts_with('/') {
        return Err(format!("${{file:{path}}} wants a path that begins with /"));
    }
    Ok((PathBuf::from(path), FILE.len() + path.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_in_for_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writes");
            path.display().to_string()
        };
        let (pass, hook, whole) =
            (at("pass", "a/b@c\n"), at("hook", "T0/B0/x y\n"), at("whole", "ntfy:a?b=c"));
        let none = None;
        let is = |text: &str| filled(text, none).expect("it can be filled");
        assert_eq!(is("ntfy:topic"), "ntfy:topic");
        assert_eq!(
            is(&format!("mailto://me:${{file:{pass}}}@example.org")),
            "mailto://me:a%2Fb%40c@example.org"
        );
        assert_eq!(
            is(&format!("https://hooks.example.org/services/${{file:{hook}}}")),
            "https://hooks.example.org/services/T0/B0/x%20y"
        );
        assert_eq!(is(&format!(" ${{file:{whole}}} ")), "ntfy:a?b=c");
        assert_eq!(
            filled("gotify://h/${CREDENTIALS_DIRECTORY}/pass?x=1", Some(folder.path())),
            Ok("gotify://h/a/b@c?x=1".into())
        );
        for (text, said) in [
            ("ntfy:${file:/nonexistent/a}", "/nonexistent/a with a secret cannot be read: "),
            ("ntfy:${file:a}", "${file:a} wants a path that begins with /"),
            ("ntfy:${HOME}", "`${` begins the place of a secret: "),
            ("ntfy:${file:/a", "`${` begins the place of a secret: "),
            ("x:${CREDENTIALS_DIRECTORY}/../a", "${CREDENTIALS_DIRECTORY}/ wants the name"),
            ("x:${CREDENTIALS_DIRECTORY}/a", "${CREDENTIALS_DIRECTORY}/a is there only where"),
            (&format!("x:${{file:{}}}", at("empty", " \n")), &format!("{}/empty holds no secret", folder.path().display())),
        ] {
            let refused = filled(text, none).expect_err(text);
            assert!(refused.starts_with(said), "{text}: {refused}");
        }
    }

    #[test]
    fn no_form_of_a_secret_stays() {
        let mut secrets = Secrets::default();
        secrets.add("p\"ss w/rd");
        secrets.add("ss");
        secrets.add("");
        let text = "p\"ss w/rd {\"a\":\"p\\\"ss w/rd\"} p%22ss%20w%2Frd p%22ss%20w/rd glass";
        assert_eq!(secrets.hide(text), "… {\"a\":\"…\"} … … gla…");
        assert_eq!(format!("{secrets:?}"), "Secrets(5)");
    }
}
