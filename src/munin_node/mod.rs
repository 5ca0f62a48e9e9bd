//! munin_node: answers Munin masters as munin-node does, from memory: it runs nothing, and only
//! `spoolfetch` waits for a disk. A view: it reads values of plugins and collectors from pipeline
//! and store. Speaks plain TCP, and TLS on request.
//!
//! ```text
//!   listen     connections: how many, from where, how long
//!   session    one connection: lines in, answers out
//!   answer     a command -> text
//!   own        plimsoll's collectors as Munin's plugins of the same names
//!   spool      what a master missed, from the store
//!   picture    what the collectors measured at one moment
//! ```

mod answer;
mod listen;
mod own;
mod picture;
mod session;
mod spool;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_rustls::TlsAcceptor;

use crate::config::MuninNodeSettings as Settings;
use crate::pipeline::Flow;
use crate::plugin::Shelf;
use crate::query::desk::Desk;

pub use listen::serve;

/// The certificate in use at the moment.
pub type Acceptor = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// The sources of the answers.
pub struct Sources {
    /// Series, their newest values, and the time.
    pub flow: Flow,
    /// The last output of plugins.
    pub shelf: Arc<Shelf>,
    /// The desk that lends the database.
    pub desk: Arc<Desk>,
    /// `/sys`
    pub sys: PathBuf,
    /// A collector's value that is older than this, in ms, is not known any more.
    pub fresh_ms: i64,
}

impl Deref for Sources {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

/// A node: see the module's text.
pub struct Node {
    settings: Settings,
    /// The name in the greeting.
    name: String,
    tls: Option<Acceptor>,
    from: Sources,
    kept: Mutex<Kept>,
}

/// State that is kept between questions.
#[derive(Default)]
struct Kept {
    catalog: picture::Catalog,
    disks: own::History,
}

impl Node {
    /// `system` is this machine's name where the settings have no other. Plugins that spoke before
    /// this are not known, unless the shelf was wanted by then.
    pub fn new(settings: Settings, system: &str, tls: Option<Acceptor>, from: Sources) -> Self {
        let name = settings.host_name.clone().unwrap_or_else(|| system.to_owned());
        from.shelf.want();
        Self { settings, name, tls, from, kept: Mutex::default() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }
}
