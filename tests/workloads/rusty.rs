// rusty.rs - Rust names, in the legacy or in the v0 mangling (rustc -C symbol-mangling-version).
//
//   rusty SECONDS    of CPU time
//
// Truth: the time is spent in equal parts in rusty::forest::grow and in the method
// <rusty::Tree as rusty::Plant>::bloom, both called by rusty::main.
use std::time::{Duration, Instant};

mod forest {
    #[inline(never)]
    pub fn grow(time: super::Duration) {
        super::work(time);
    }
}

trait Plant {
    fn bloom(&self, time: Duration);
}

struct Tree;

impl Plant for Tree {
    #[inline(never)]
    fn bloom(&self, time: Duration) {
        work(time);
        black_box("not the same code as forest::grow");
    }
}

// What the compiler may not leave out; std::hint::black_box is too new for some of them.
#[inline(always)]
fn black_box<T: Copy>(value: T) {
    unsafe { std::ptr::read_volatile(&value) };
}

#[inline(always)]
fn work(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        for i in 0..10000 {
            black_box(i);
        }
    }
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(1.0, |s| s.parse().unwrap());
    let slice = Duration::from_secs_f64(seconds / 20.0);
    for _ in 0..10 {
        forest::grow(slice);
        Tree.bloom(slice);
    }
}
