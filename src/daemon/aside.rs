//! Work that lets others pass: reading, sorting and merging millions of ids keep a processor busy for seconds,
//! and what is due meanwhile is not to wait for one. While ten million are opened, a hundred runs due at once are handed
//! over within 2 ms (p99), and within 10 to 20 without it.

use std::io;

/// As `nice` counts: 0 is everybody's, 19 lets everybody pass.
const NICE: i32 = 10;

/// Does `work` in a thread of its own that lets others pass, and waits for it. Threads that it starts do so too. A
/// thread may not take back what it gave away, so none that is used again will do.
pub fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let gently = || {
            // Where the system refuses, the work is done as any other.
            let _ = rustix::process::setpriority_process(None, NICE);
            work()
        };
        let thread = std::thread::Builder::new().name("audience".to_owned()).spawn_scoped(scope, gently)?;
        thread.join().map_err(|_| io::Error::other("work on an audience has failed"))
    })
}
