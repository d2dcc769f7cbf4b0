//! Waiting for something to become so: by looking again and again, with a generous bound.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as failed. No statement about speed.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` returns something.
///
/// # Errors
/// When that has not happened in [`PATIENCE`]: what was waited for.
pub fn for_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("waited in vain for {what}"));
        }
        sleep(PAUSE);
    }
}

/// Waits until `look` returns `wanted`.
///
/// # Errors
/// When that has not happened in [`PATIENCE`]: what there was instead.
pub fn for_value<T: PartialEq + Debug>(
    what: &str,
    wanted: T,
    mut look: impl FnMut() -> T,
) -> Result<(), String> {
    let mut last = look();
    let found = for_some(what, || {
        last = look();
        (last == wanted).then_some(())
    });
    found.map_err(|why| format!("{why} to be {wanted:?}: it is {last:?}"))
}

/// Lets time pass in which nothing must happen. Proves nothing by being short.
pub fn a_moment() {
    sleep(Duration::from_millis(300));
}
