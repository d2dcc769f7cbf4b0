//! From kernel to kernel at a low rate: what a session waits in the daemons and between them.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::stage::Stage;

/// Between two batches.
const PAUSE: Duration = Duration::from_millis(10);

/// Batches of a round.
const BATCHES: u32 = 200;

/// Long enough for the last batch to arrive.
const GRACE: Duration = Duration::from_millis(500);

/// Sends single sessions; returns each one's way in nanoseconds, or None if it was lost.
///
/// # Errors
/// Those of the clock and of the stand-ins' files.
pub fn run(stage: &Stage) -> io::Result<Vec<Option<u64>>> {
    stage.j.prepare(0)?;
    stage.k.prepare(0)?;
    stage.k.shared.stamp(true)?;
    let mut sent = Vec::new();
    for number in 0..BATCHES {
        let batch = stage.j.single(number);
        sent.push(now()?);
        stage.j.multicast(&batch);
        sleep(PAUSE);
    }
    sleep(GRACE);
    stage.k.shared.stamp(false)?;
    (0..)
        .zip(sent)
        .map(|(number, sent)| {
            let arrived = stage.k.shared.arrival(number)?;
            Ok(arrived.checked_sub(sent).filter(|_| arrived != 0))
        })
        .collect()
}

/// As the stand-in counts it.
fn now() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let nanoseconds = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
    Ok(nanoseconds)
}
