//! query: where questions to the file are asked, by any view. Each gets its turn, a thread, a deadline
//! and its share of the memory; the file is lent by [`super::files`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::budget::{self, Budget, Pool};
use super::eval::{EvalError, Limits};
use super::files::Files;
use super::turns::{Client, Leaving, Turns};
use crate::pipeline::Counters;
use crate::store::Head;

/// How many questions in PromQL and pictures are worked on at a time; the others wait for their turn
/// until their deadline.
pub const AT_ONCE: usize = 5;

/// How many of them one client may have at a time: another one always finds a place.
const OF_ONE: usize = 4;

/// The page has places of its own, so that it stands while others ask much.
const PAGES: usize = 4;
const PAGES_OF_ONE: usize = 3;

/// This part of the memory of all questions is left to the page, in bytes.
pub const FOR_THE_PAGE: u64 = 32 << 20;

/// The longest that a question may take, and may wait for its turn.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The page may take longer: its numbers of two hundred machines are one question.
const PAGE_TIME: Duration = Duration::from_secs(30);

/// Memory is given back when nobody has asked for this long; shorter than what pages wait between
/// questions.
const QUIET: Duration = Duration::from_secs(3);

/// Who a question is for, which decides on its places and its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Questions of programs and people: PromQL, pictures, lists.
    Any,
    /// What the page shows.
    Page,
    /// The table of all hosts: one at a time, so that it never keeps the charts waiting.
    Hosts,
}

/// The bounds of a question that is being worked on.
#[derive(Debug, Clone)]
pub struct Task {
    /// When to give up.
    pub deadline: Instant,
    /// Set when nobody waits for the answer any more.
    cancel: Arc<AtomicBool>,
    /// The memory it may take.
    pub budget: Arc<Budget>,
}

impl Task {
    /// A copy with another deadline.
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The bounds as an evaluation takes them.
    pub fn limits(&self) -> Limits<'_> {
        Limits {
            deadline: Some(self.deadline),
            cancel: Some(&self.cancel),
            budget: Some(&self.budget),
            ..Limits::default()
        }
    }

    /// Whether the work may go on. Fails at the deadline and when nobody waits any more.
    pub fn check(&self) -> Result<(), EvalError> {
        self.limits().check()
    }
}

/// Why a question was not worked on to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its turn did not come in time.
    #[error("too many queries are running; ask again later")]
    Busy,
    /// The work ended without an answer; the text says how.
    #[error("{0}")]
    Lost(String),
}

/// The places, the readers and the memory that all questions share.
#[derive(Debug)]
pub struct Desk {
    files: Files,
    turns: Turns,
    pages: Turns,
    hosts: Turns,
    pool: Arc<Pool>,
}

impl Desk {
    /// A desk for the file at `path`, whose newest samples are in `head`.
    pub fn new(path: PathBuf, head: Arc<Head>, pool: Arc<Pool>, counters: Arc<Counters>) -> Self {
        let files = Files::new(path, head, AT_ONCE + PAGES);
        let turns = Turns::new(AT_ONCE, OF_ONE, counters);
        let pages = turns.beside(PAGES, PAGES_OF_ONE);
        let hosts = turns.beside(1, 1);
        Self { files, turns, pages, hosts, pool }
    }

    /// The file. Has to be asked inside [`Desk::turn`], for it may block.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Gives memory back when nobody has asked for a while, for as long as the runtime goes on: what a
    /// year of sixty charts takes would otherwise stay. `rested` is called behind it.
    pub async fn rest_between(self: Arc<Self>, rested: fn()) {
        loop {
            self.turns.quiet(QUIET).await;
            let desk = Arc::clone(&self);
            let done = tokio::task::spawn_blocking(move || {
                desk.files.rest();
                rested();
            });
            let _unused = done.await;
        }
    }

    /// Does the work on a thread of its own when it is its turn. The place is given back when the work
    /// is done, not when the client goes. Fails with [`Refused::Busy`] where the turn did not come.
    pub async fn turn<T: Send + 'static, E: From<Refused> + Send + 'static>(
        &self,
        purpose: Purpose,
        client: Client,
        work: impl FnOnce(&Task) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (turns, share, time) = match purpose {
            Purpose::Any => (&self.turns, budget::ALL - FOR_THE_PAGE, PATIENCE),
            Purpose::Page => (&self.pages, budget::ALL, PAGE_TIME),
            Purpose::Hosts => (&self.hosts, budget::ALL, PAGE_TIME),
        };
        let turn = turns.next(client, PATIENCE).await.ok_or(Refused::Busy)?;
        let leaving = Leaving::default();
        let task = Task {
            deadline: Instant::now() + time,
            cancel: leaving.flag(),
            budget: Budget::within(&self.pool, budget::ONE, share),
        };
        // The turn ends where this is taken, or here when nobody takes it: to end it first would wake
        // the thread that sends the answer once more.
        let done = tokio::task::spawn_blocking(move || (work(&task), turn)).await;
        match done {
            Ok((done, _turn)) => done,
            Err(e) => Err(Refused::Lost(e.to_string()).into()),
        }
    }
}
