//! tests: a warm collector allocates nothing. Alone in its file, for it counts the allocations of
//! the whole process.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait")]

mod reading;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll::collect::Settings;

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations a hundred beats of each collector make.
fn hundred_beats(settings: &Settings) -> Vec<(&'static str, usize)> {
    let mut reader = reading::Reader::new(settings);
    assert!(COUNT.load(Ordering::Relaxed) > 0, "the counter does not count");
    let mut counts = Vec::new();
    for (name, collector, recorder) in &mut reader.collectors {
        let mut beat = || {
            recorder.begin();
            let _ = collector.collect(recorder);
        };
        (0..5).for_each(|_| beat());
        let before = COUNT.load(Ordering::Relaxed);
        (0..100).for_each(|_| beat());
        counts.push((*name, COUNT.load(Ordering::Relaxed) - before));
    }
    counts.retain(|(_, count)| *count > 0);
    counts
}

#[test]
fn a_hundred_beats_of_every_collector_allocate_nothing() {
    // On the real machine somebody may mount something meanwhile, which is new to everybody.
    let real = (0..3).map(|_| hundred_beats(&Settings::default())).find(Vec::is_empty);
    assert!(real.is_some(), "{:?}", hundred_beats(&Settings::default()));
    for name in reading::MACHINES {
        let settings = reading::settings(&reading::machine(name));
        assert_eq!(hundred_beats(&settings), [], "{name}");
    }
}
