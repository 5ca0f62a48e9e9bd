//! notify: Matrix, as a user in a room: <https://spec.matrix.org/latest/client-server-api/>. A message
//! that is sent a second time with the same key is one message there.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::kind::{
    ChannelSettings, Line, Made, Row, Wire, no_more, post_json, unreached, word,
};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Room, colour, html, mood, plain};
use crate::reach::{HttpAnswer, HttpRequest, ReachError};

const FORM: &str = "matrixs://TOKEN@host/!room:host";
/// An event takes 65,536 bytes, and the text stands in it twice.
const TEXT: Room = Room::bytes(16_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "matrix",
    schemes: &["matrix", "matrixs"],
    forms: &[
        "matrix[s]://TOKEN@host[:port]/!room:host",
        "matrix[s]://TOKEN@host[:port]/#alias:host",
    ],
    example: "matrixs://syt_cGxpbXNvbGw_QmRxYWJjZGVmZ2g_1a2b3c@matrix.example.org/!OGEhHVWSdvArJzumhm:example.org",
    picture: true,
    limit: "16,000 bytes",
    help: "Make a user, invite it to the room and join; its access token stands in Element's settings under Help.",
    make,
};

struct Matrix {
    base: String,
    token: String,
    room: String,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let origin = target.origin(target.scheme == "matrixs")?;
    if let Some(password) = &target.password {
        secrets.add(password);
        return Err(TargetError(format!(
            "`matrix:`: every login with a password makes another session, so a token is needed: \
             write {FORM}"
        )));
    }
    let token = word(target.user.as_deref(), "the token", FORM)?.to_owned();
    secrets.add(&token);
    let Some((room, more)) = target.path.split_first() else {
        return Err(TargetError(format!("the room is missing: write {FORM}")));
    };
    no_more(more, FORM)?;
    // Apprise takes a name alone for an alias of the same server.
    let room = match room.starts_with(['!', '#']) {
        true => room.clone(),
        false => format!("#{room}"),
    };
    let host = target.server()?.0;
    let room = match room.starts_with('#') && !room.contains(':') {
        true => format!("{room}:{host}"),
        false => room,
    };
    let shown = format!("{}://{}/{room}", target.scheme, target.authority);
    Ok(Made::new(Matrix { base: format!("{origin}/_matrix"), token, room }, shown))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Matrix {
    fn authorized(&self, request: HttpRequest) -> HttpRequest {
        request.with("Authorization", format!("Bearer {}", self.token))
    }

    fn event(&self, room: &str, key: &str, event: &Value) -> HttpRequest {
        let (room, key) = (encoded(room), encoded(key));
        let url = format!("{}/client/v3/rooms/{room}/send/m.room.message/{key}", self.base);
        let mut request = post_json(url, event);
        request.method = "PUT";
        self.authorized(request)
    }

    /// The room of an alias.
    fn room(&self, line: &Line<'_>) -> Result<String, Outcome> {
        if self.room.starts_with('!') {
            return Ok(self.room.clone());
        }
        let url = format!("{}/client/v3/directory/room/{}", self.base, encoded(&self.room));
        let request = HttpRequest { method: "GET", url, headers: Vec::new(), body: Vec::new() };
        let answer = line.ask(&self.authorized(request))?;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match json["room_id"].as_str() {
            Some(room) => Ok(room.to_owned()),
            None => Err(judge(&answer)),
        }
    }

    /// Uploads the picture and shows it; why not, where it does not go.
    fn show(
        &self,
        line: &Line<'_>,
        room: &str,
        key: &str,
        picture: &Picture,
    ) -> Result<(), Outcome> {
        let url = format!("{}/media/v3/upload?filename=chart.png", self.base);
        let upload = HttpRequest::post(url, "image/png", picture.png.clone());
        let answer = line.ask(&self.authorized(upload))?;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(uri) = json["content_uri"].as_str() else {
            return Err(match judge(&answer) {
                Outcome::Sent { said } => unreached(ReachError::Lasting(said)),
                other => other,
            });
        };
        let event = json!({
            "msgtype": "m.image", "body": picture.alt, "filename": "chart.png", "url": uri,
            "info": {"mimetype": "image/png", "size": picture.png.len()},
        });
        match judge(&line.ask(&self.event(room, &format!("{key}/chart"), &event))?) {
            Outcome::Sent { .. } => Ok(()),
            other => Err(other),
        }
    }
}

fn formatted(message: &Message, text: &str) -> Value {
    let colour = colour(mood(message));
    let rest: Vec<String> = text.lines().skip(1).map(html).collect();
    let page = format!(
        "<p><font color=\"#{colour:06x}\" data-mx-color=\"#{colour:06x}\"><b>{}</b></font></p><p>{}</p>",
        html(text.lines().next().unwrap_or_default()),
        rest.join("<br>")
    );
    json!({
        "msgtype": "m.text", "body": text, "format": "org.matrix.custom.html",
        "formatted_body": page,
    })
}

fn judge(answer: &HttpAnswer) -> Outcome {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (by_status(answer), json["errcode"].as_str()) {
        (Outcome::Sent { .. }, _) => Outcome::Sent {
            said: match json["event_id"].as_str() {
                Some(id) => format!("{} {id}", answer.status),
                None => answer.status.to_string(),
            },
        },
        (Outcome::Refused { .. }, Some(code)) => {
            let why = json["error"].as_str().unwrap_or_default();
            let advice = match code {
                "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => "make a new token for the user",
                "M_FORBIDDEN" => "invite the user to the room, and join",
                "M_NOT_FOUND" => "check the room's alias",
                _ => "check the target",
            };
            Outcome::Refused { said: format!("{} {code} {why}; {advice}", answer.status) }
        }
        (other, _) => other,
    }
}

impl Wire for Matrix {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let room = match self.room(line) {
            Ok(room) => room,
            Err(outcome) => return outcome,
        };
        let text = plain(message, TEXT);
        let request = self.event(&room, &message.key, &formatted(message, &text));
        let send = || line.ask(&request).map_or_else(|outcome| outcome, |answer| judge(&answer));
        let mut outcome = send();
        if matches!(&outcome, Outcome::Refused { said } if said.contains("M_FORBIDDEN")) {
            // Invited, but it has not joined yet.
            let url = format!("{}/client/v3/join/{}", self.base, encoded(&room));
            let join = self.authorized(post_json(url, &json!({})));
            if line.ask(&join).is_ok_and(|answer| answer.status == 200) {
                outcome = send();
            }
        }
        if let (Outcome::Sent { said }, Some(picture)) = (&mut outcome, picture)
            && let Err(Outcome::Retry { said: why, .. } | Outcome::Refused { said: why }) =
                self.show(line, &room, &message.key, picture)
        {
            said.push_str(&format!("; without the picture: {why}"));
        }
        outcome
    }
}
