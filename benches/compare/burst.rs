//! Many batches back to back: what each costs, and how many arrive.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::{Memory, Usage, softirq_threads};
use crate::stage::{FULL, Router, Stage};
use crate::standin::Counts;

/// Between two looks at the counters.
const LOOK: Duration = Duration::from_millis(2);

/// Without any progress for so long, a burst is over. A busy machine may make a daemon wait for a while.
const QUIET: Duration = Duration::from_secs(1);

/// How one direction of a burst went.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Batches that the sending kernel gave to its daemon.
    pub given: u64,
    /// Batches that arrived at the receiving kernel.
    pub arrived: u64,
    /// Batches that arrived more than once.
    pub repeated: u64,
    /// Sessions that arrived but should not have, or with them too few or too many of their batch.
    pub strange: u64,
    /// From the first to the last one given.
    pub duration: Duration,
}

/// What a burst cost one router's daemon.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Processor and wake-ups.
    pub usage: Usage,
    /// At the end.
    pub memory: Memory,
    /// Threads, at the end.
    pub threads: usize,
}

/// A burst in one direction, or in both at once.
#[derive(Clone, Debug)]
pub struct Burst {
    /// From J to K.
    pub out: Flow,
    /// From K to J, if there was load.
    pub back: Option<Flow>,
    /// Of J's daemon.
    pub j: Cost,
    /// Of K's daemon.
    pub k: Cost,
    /// Of the kernel's threads: see [`softirq_threads`].
    pub softirq: Duration,
}

/// Runs `batches` batches through from J to K, and as many back if `both`.
///
/// # Errors
/// When a daemon ends, or stops before all batches are given.
pub fn run(stage: &Stage, batches: u64, both: bool) -> Result<Burst, String> {
    measure(stage, batches, both).map_err(|error| error.to_string())
}

fn measure(stage: &Stage, batches: u64, both: bool) -> io::Result<Burst> {
    let (before, softirq) = (usages(stage)?, softirq_threads()?);
    stage.k.prepare(if both { batches } else { 0 })?;
    stage.j.prepare(batches)?;
    let start = Instant::now();
    stage.j.first_batch()?;
    if both {
        stage.k.first_batch()?;
    }
    let durations = wait(stage, batches, both, start)?;
    let after = usages(stage)?;
    let softirq = softirq_threads()?.saturating_sub(softirq);
    let [j, k] = [stage.j.counts()?, stage.k.counts()?];
    Ok(Burst {
        out: flow(&j, &k, durations[0]),
        back: both.then(|| flow(&k, &j, durations[1])),
        j: cost(&stage.j, after[0].since(before[0]))?,
        k: cost(&stage.k, after[1].since(before[1]))?,
        softirq,
    })
}

fn usages(stage: &Stage) -> io::Result<[Usage; 2]> {
    Ok([Usage::of(&stage.j.daemon)?, Usage::of(&stage.k.daemon)?])
}

fn flow(from: &Counts, to: &Counts, duration: Duration) -> Flow {
    Flow {
        given: from.given,
        arrived: to.batches,
        repeated: to.repeated,
        strange: to.strange
            + to.sessions
                .abs_diff((to.batches + to.repeated) * FULL as u64),
        duration,
    }
}

fn cost(router: &Router, usage: Usage) -> io::Result<Cost> {
    Ok(Cost {
        usage,
        memory: Memory::of(&router.daemon)?,
        threads: router.daemon.threads()?,
    })
}

/// Waits until nothing moves any more; returns how long J and K were giving batches.
fn wait(stage: &Stage, batches: u64, both: bool, start: Instant) -> io::Result<[Duration; 2]> {
    let mut moved = Instant::now();
    let mut last = (Vec::new(), Vec::new());
    let mut durations = [Duration::ZERO; 2];
    while moved.elapsed() < QUIET {
        sleep(LOOK);
        let mut now = (Vec::new(), Vec::new());
        for (router, duration) in stage.routers().into_iter().zip(&mut durations) {
            let counts = router.counts()?;
            if counts.given >= batches && duration.is_zero() {
                *duration = start.elapsed();
            }
            now.0.push(counts.given);
            now.1.push(counts.sessions);
        }
        if now != last {
            moved = Instant::now();
        }
        last = now;
    }
    let senders = if both { 2 } else { 1 };
    if durations[..senders].iter().any(Duration::is_zero) {
        let given = &last.0[..senders];
        return Err(io::Error::other(format!(
            "the daemon stopped taking batches after {given:?} of {batches}"
        )));
    }
    Ok(durations)
}
