//! query: the desk at which all views ask questions to the file. Each question gets a turn, a
//! thread, a deadline and its share of the memory; [`super::files`] lends the file.

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

/// The number of questions in PromQL and pictures that run at a time; the others wait for their
/// turn until their deadline.
pub const AT_ONCE: usize = 5;

/// The number of them for one client, so that others always find a place.
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

/// The idle time after which memory is given back; shorter than the pause of the page between
/// questions.
const QUIET: Duration = Duration::from_secs(3);

/// The purpose of a question, which decides on its places and its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Questions of programs and people: PromQL, pictures, lists.
    Any,
    /// The page.
    Page,
    /// The table of all hosts: one at a time, so that it never keeps the charts waiting.
    Hosts,
}

/// The bounds of a question that is being worked on.
#[derive(Debug, Clone)]
pub struct Task {
    /// When to give up.
    pub deadline: Instant,
    /// Set when the client is gone.
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

    /// Checks whether the work may continue. Fails at the deadline, and when the client is gone.
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
    pub fn new(path: PathBuf, head: Arc<Head>, counters: Arc<Counters>) -> Self {
        let files = Files::new(path, head, AT_ONCE + PAGES);
        let turns = Turns::new(AT_ONCE, OF_ONE, counters);
        let pages = turns.beside(PAGES, PAGES_OF_ONE);
        let hosts = turns.beside(1, 1);
        Self { files, turns, pages, hosts, pool: Pool::new(budget::ALL) }
    }

    /// The memory of all questions, for those that have places elsewhere.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The file. Only ask inside [`Desk::turn`], because it may block.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Gives memory back after each idle time, as long as the runtime runs: the memory for a year
    /// of sixty charts would otherwise stay. Then it calls `rested`.
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
        // The turn ends where the answer is taken, or here if the client is gone: ending it first
        // would wake the sending thread once more.
        let done = tokio::task::spawn_blocking(move || (work(&task), turn)).await;
        match done {
            Ok((done, _turn)) => done,
            Err(e) => Err(Refused::Lost(e.to_string()).into()),
        }
    }
}
