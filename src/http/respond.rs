//! http: the text of an answer on its way out: its memory is counted while it is written, packed and
//! sent.

use std::cell::RefCell;
use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Kind};
use super::peer::Cut;
use crate::query::budget::Held;
use crate::query::desk::Task;

/// Shorter answers are not packed, bytes.
const PACKED_FROM: usize = 1_400;

/// This much room is made at a time in a text that grows, in bytes.
pub(super) const SOME: usize = 4 << 10;

/// The memory of an answer's text.
#[derive(Debug)]
pub(super) struct Sheet<'t> {
    pub(super) task: &'t Task,
    held: RefCell<Held>,
}

impl<'t> Sheet<'t> {
    /// An empty text of this question.
    pub(super) fn new(task: &'t Task) -> Self {
        Self { task, held: RefCell::new(task.budget.hold()) }
    }

    /// The memory of the text, when it is written.
    pub(super) fn into_held(self) -> Held {
        self.held.into_inner()
    }

    /// Makes room in the text for `more` bytes. Fails if there is no memory for them, or the client
    /// is gone. Memory that was taken without asking is counted, too.
    pub(super) fn room(&self, out: &mut String, more: usize) -> Result<(), ApiError> {
        self.task.check()?;
        let mut held = self.held.borrow_mut();
        held.settle(out.capacity())?;
        Ok(held.reserve_text(out, more)?)
    }
}

/// Whether the client takes gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted.filter_map(|t| t.to_str().ok()).flat_map(|t| t.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|n| n.eq_ignore_ascii_case("gzip") || n == "*");
        named && !parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// An answer as it is sent, and its memory.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    packed: bool,
    held: Held,
}

/// The text as bytes, packed where that is wanted and worth it. `held` is the memory of the text.
pub(super) fn pack_up(
    text: String,
    mut held: Held,
    pack: bool,
    task: &Task,
) -> Result<Packed, ApiError> {
    held.settle(text.capacity())?;
    if !pack || text.len() < PACKED_FROM {
        return Ok(Packed { bytes: text.into_bytes(), packed: false, held });
    }
    let mut room = held.another();
    let mut out = Vec::new();
    room.reserve(&mut out, text.len() / 8)?;
    let failed = |e: std::io::Error| ApiError::new(Kind::Internal, e.to_string());
    let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    for part in text.as_bytes().chunks(AT_A_TIME) {
        task.check()?;
        gzip.write_all(part).map_err(failed)?;
        room.settle(gzip.get_ref().capacity())?;
    }
    let bytes = gzip.finish().map_err(failed)?;
    room.settle(bytes.capacity())?;
    Ok(Packed { bytes, packed: true, held: room })
}

/// This many bytes are packed between two looks at the clock.
const AT_A_TIME: usize = 64 << 10;

impl Packed {
    /// The whole answer. Its memory counts until it is sent; see [`super::sent`].
    pub(super) fn respond_as(
        self,
        kind: &'static str,
        status: StatusCode,
        cut: Option<Cut>,
    ) -> Response {
        let body = super::sent::body(self.bytes, self.held, cut);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if self.packed {
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
        }
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    }
}
