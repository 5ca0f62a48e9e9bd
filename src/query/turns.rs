//! query: questions that read the file take turns. A fixed number run at once, the others wait, and
//! no client has all places. Knows nothing of what a question asks.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::pipeline::Counters;

/// A client, by which places are shared out: an IPv4 address or the /64 network of an IPv6 address.
/// The default represents all clients without a network: those of sockets in the file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Client(Option<IpAddr>);

impl Client {
    /// The client at this address.
    pub fn of(address: SocketAddr) -> Self {
        Self(Some(match address.ip().to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 => v4,
        }))
    }
}

/// The places for one kind of question. Bound: a number at once. Policy: the others wait, and a
/// free place goes to the client that has the fewest, and among those to the one that has waited
/// longest. Counters: `queries_waiting`, `queries_refused`.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The most that one client has at once.
    most: usize,
    places: Mutex<Places>,
    counters: Arc<Counters>,
    ended: Arc<Notify>,
}

#[derive(Debug)]
struct Places {
    free: usize,
    taken: HashMap<Client, usize>,
    waiting: VecDeque<(Client, oneshot::Sender<Turn>)>,
}

/// A place, held for as long as there is work; not for as long as the client is there.
#[derive(Debug)]
pub struct Turn {
    client: Client,
    turns: Arc<Shared>,
}

impl Places {
    fn has(&self, client: Client) -> usize {
        self.taken.get(&client).copied().unwrap_or(0)
    }

    fn take(&mut self, client: Client) {
        self.free -= 1;
        *self.taken.entry(client).or_default() += 1;
    }

    fn give(&mut self, client: Client) {
        self.free += 1;
        if let Some(taken) = self.taken.get_mut(&client) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(&client);
            }
        }
    }

    /// The next waiting question, if there is a place for it.
    fn next(&mut self, most: usize) -> Option<(Client, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        self.waiting.retain(|(_, tell)| !tell.is_closed());
        let taken = |(at, (client, _)): (usize, &(Client, _))| (self.has(*client), at);
        let (fewest, at) = self.waiting.iter().enumerate().map(taken).min()?;
        if fewest >= most {
            return None;
        }
        let next = self.waiting.remove(at)?;
        self.take(next.0);
        Some(next)
    }
}

impl Turns {
    /// `at_once` places, of which one client has `most` at a time.
    pub fn new(at_once: usize, most: usize, counters: Arc<Counters>) -> Self {
        Self::with(at_once, most, counters, Arc::default())
    }

    /// The places of another kind of question: [`Turns::quiet`] is about both.
    pub fn beside(&self, at_once: usize, most: usize) -> Self {
        Self::with(at_once, most, Arc::clone(&self.0.counters), Arc::clone(&self.0.ended))
    }

    fn with(free: usize, most: usize, counters: Arc<Counters>, ended: Arc<Notify>) -> Self {
        let places = Places { free, taken: HashMap::new(), waiting: VecDeque::new() };
        Self(Arc::new(Shared { most, places: Mutex::new(places), counters, ended }))
    }

    /// Returns when questions were answered, and then none was for this long.
    pub async fn quiet(&self, length: Duration) {
        self.0.ended.notified().await;
        while tokio::time::timeout(length, self.0.ended.notified()).await.is_ok()
            || self.0.counters.queries_running.load(Relaxed) > 0
        {}
    }

    /// A place as soon as there is one for this client; `None`: there was none in all that time.
    pub async fn next(&self, client: Client, patience: Duration) -> Option<Turn> {
        let shared = &self.0;
        let told = {
            let mut places = shared.places();
            if places.free > 0 && places.has(client) < shared.most {
                places.take(client);
                drop(places);
                return Some(Turn::new(client, shared));
            }
            let (tell, told) = oneshot::channel();
            places.waiting.push_back((client, tell));
            told
        };
        let waiting = Counted::new(&shared.counters.queries_waiting);
        let turn = tokio::time::timeout(patience, told).await;
        drop(waiting);
        let Ok(Ok(turn)) = turn else {
            shared.counters.queries_refused.fetch_add(1, Relaxed);
            return None;
        };
        Some(turn)
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Turn {
    /// The turn of a client that has taken its place.
    fn new(client: Client, turns: &Arc<Shared>) -> Self {
        turns.counters.queries_running.fetch_add(1, Relaxed);
        Self { client, turns: Arc::clone(turns) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut places = self.turns.places();
            places.give(self.client);
            places.next(self.turns.most)
        };
        self.turns.counters.queries_running.fetch_sub(1, Relaxed);
        self.turns.counters.queries_done.fetch_add(1, Relaxed);
        self.turns.ended.notify_one();
        if let Some((client, tell)) = next {
            // If the client has just gone, its turn ends here and the next one begins.
            let _gone = tell.send(Turn::new(client, &self.turns));
        }
    }
}

/// Counts one up for as long as it is held.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Sets the flag when it is dropped: when the answer is there, or when the client has gone.
#[derive(Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// The cancel flag, for the thread that works on the question.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn client(last: u8) -> Client {
        Client::of(SocketAddr::from(([192, 0, 2, last], 4_000)))
    }

    #[tokio::test]
    async fn it_is_quiet_after_the_last_question() {
        let turns = Turns::new(2, 2, Arc::default());
        let quiet = async |within: u64| {
            let quiet = turns.quiet(Duration::from_millis(10));
            tokio::time::timeout(Duration::from_millis(within), quiet).await.is_ok()
        };
        assert!(!quiet(100).await, "nothing was asked");
        drop(turns.next(client(1), PATIENCE).await);
        assert!(quiet(5_000).await);
        assert!(!quiet(100).await, "once");
        let first = turns.next(client(1), PATIENCE).await;
        let second = turns.next(client(2), PATIENCE).await;
        drop(first);
        assert!(!quiet(100).await, "one is still being answered");
        drop(second);
        assert!(quiet(5_000).await);
    }

    /// Asks in a task of its own, and returns the result.
    async fn asks(turns: &Turns, last: u8) -> tokio::task::JoinHandle<Option<Turn>> {
        let (turns, before) = (turns.clone(), turns.0.places().waiting.len());
        let waits = turns.clone();
        let asked = tokio::spawn(async move { turns.next(client(last), PATIENCE).await });
        while waits.0.places().waiting.len() == before && !asked.is_finished() {
            tokio::task::yield_now().await;
        }
        asked
    }

    #[tokio::test]
    async fn no_client_has_all_places_and_who_has_fewest_comes_first() {
        let turns = Turns::new(3, 2, Arc::default());
        let greedy = [asks(&turns, 1).await, asks(&turns, 1).await];
        let waits = [asks(&turns, 1).await, asks(&turns, 1).await];
        let [first, second] = greedy.map(|asked| async { asked.await.unwrap() });
        let (first, second) = (first.await, second.await);
        assert!(first.is_some() && second.is_some() && !waits[0].is_finished());
        // The third place goes to another client, at once.
        let other = turns.next(client(2), Duration::ZERO).await;
        assert!(other.is_some());
        let another = asks(&turns, 3).await;
        assert!(!another.is_finished(), "there is none left");
        drop(first);
        let another = another.await.unwrap();
        assert!(another.is_some() && !waits[0].is_finished(), "the greedy one has one still");
        drop(other);
        let [third, fourth] = waits;
        let third = third.await.unwrap();
        assert!(third.is_some());
        drop((second, another));
        assert!(fourth.await.unwrap().is_some());
        drop(third);
        assert_eq!(turns.0.places().free, 3);
        assert!(turns.0.places().taken.is_empty());
    }

    #[tokio::test]
    async fn who_goes_while_he_waits_leaves_his_place_to_others() {
        let turns = Turns::new(1, 1, Arc::default());
        let only = turns.next(client(1), PATIENCE).await;
        let gone = asks(&turns, 2).await;
        let stays = asks(&turns, 3).await;
        gone.abort();
        assert!(gone.await.is_err());
        drop(only);
        assert!(stays.await.unwrap().is_some());
        assert_eq!(turns.0.places().free, 1);
    }

    #[test]
    fn a_site_is_one_client() {
        let of = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(of("[2001:db8:1:2::3]:1"), of("[2001:db8:1:2:ffff::9]:2"));
        assert_ne!(of("[2001:db8:1:2::3]:1"), of("[2001:db8:1:3::3]:1"));
        assert_eq!(of("[::ffff:192.0.2.1]:1"), of("192.0.2.1:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
    }
}
