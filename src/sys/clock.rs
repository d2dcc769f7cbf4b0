//! The clock that other programs can compare with theirs.

use std::mem::MaybeUninit;

/// The time of CLOCK_MONOTONIC in microseconds: what std's `Instant` reads, and does not tell.
pub fn monotonic_microseconds() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a timespec, which the call fills in.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    // SAFETY: all bytes are set, and each pattern is a timespec.
    let time = unsafe { time.assume_init() };
    // The clock begins at 0, and counts for longer than any machine runs.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000_000 + nanoseconds / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_runs_as_the_machine_does() {
        let before = monotonic_microseconds();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // The machine's uptime counts what it slept; this clock does not.
        assert!(before as f64 / 1e6 <= seconds + 0.02, "{before}");
        assert!(monotonic_microseconds() >= before);
    }
}
