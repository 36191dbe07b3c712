//! The allocator of our programs, and the largest resident set of this process.
//!
//! Memory goes back to the system whichever thread freed it, so what a run holds follows what it works on, and not how long it
//! runs. glibc's allocator does that only with few arenas, which is a matter of its environment; few threads in the runtime's pool
//! for what blocks would do as well, but the Delta kernel blocks there on reads that need another of them: with two it hangs.

use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// In bytes, as the kernel counts it (`VmHWM`); `None` where it does not say.
pub fn peak_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// What is resident now, in the same way (`VmRSS`).
pub fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

/// What this thread has asked of the allocator since it began, in bytes, whatever became of them.
pub(crate) fn allocated_bytes() -> u64 {
    thread_local! {
        static COUNTED: Option<ThreadLocal<u64>> = allocatedp::read().ok();
    }
    // Where a thread ends, its locals may be gone before its last span.
    COUNTED.try_with(|counted| counted.map_or(0, ThreadLocal::get)).unwrap_or(0)
}

fn status_bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
