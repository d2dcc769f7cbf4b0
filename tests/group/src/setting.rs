//! What a run is like: how many routers, how bad the network, how much traffic.

use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// How long nothing happens at the end, and for how long of that datagrams are still lost.
pub const QUIET: Duration = Duration::from_secs(14);
/// See [`QUIET`].
pub const STILL_LOSSY: Duration = Duration::from_secs(7);

/// Everything about a run that does not change.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What all chance comes from.
    pub seed: u64,
    /// For each router whether its daemon is upstream's.
    pub upstream: Vec<bool>,
    /// For how long there are traffic and faults.
    pub active: Duration,
    /// The share of datagrams that are lost, for each receiver.
    pub loss: f64,
    /// The share of datagrams that come twice.
    pub twice: f64,
    /// The share of datagrams that come truncated.
    pub truncated: f64,
    /// How long a datagram takes at least and, but for those that are [late](LATE), at most.
    pub delay: (Duration, Duration),
    /// How long a daemon may take to wake up.
    pub latency: Duration,
    /// The most sessions.
    pub sessions: usize,
    /// Packets a second.
    pub packets: f64,
    /// How long it is on average from one fault to the next.
    pub faults: Duration,
    /// The refresh window in milliseconds; 0 for none.
    pub window: u32,
    /// How many bytes can be repeated.
    pub ring: usize,
    /// Timeouts in milliseconds: `tcp-est`, `tcp-trans`, `udp-timeout`, `icmp-timeout`.
    pub timeouts: [u32; 4],
}

/// How many times as long as others a few datagrams take.
pub const LATE: u32 = 20;

impl Setting {
    /// That of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed).fork(1);
        let nodes = match random.chance(0.93) {
            true => random.between(2, 5),
            false => random.between(6, 16),
        };
        let has_upstream = random.chance(0.25);
        let upstream = (0..nodes)
            .map(|node| has_upstream && node > 0 && random.chance(0.3))
            .collect();
        let mild = random.chance(0.3);
        let millisecond = Duration::from_millis(1);
        Self {
            seed,
            upstream,
            active: random.time(Duration::from_secs(12), Duration::from_secs(30)),
            loss: match mild {
                true => 0.0,
                false => 0.3 * random.share().powi(2),
            },
            twice: if mild { 0.0 } else { 0.05 * random.share() },
            truncated: if mild { 0.0 } else { 0.001 },
            delay: (
                millisecond / 10,
                random.time(millisecond / 5, 6 * millisecond),
            ),
            latency: match random.chance(0.7) {
                true => millisecond / 20,
                false => random.time(millisecond, 30 * millisecond),
            },
            sessions: random.between(10, 200) as usize,
            packets: random.between(10, 100) as f64,
            faults: random.time(Duration::from_secs(2), Duration::from_secs(8)),
            window: if random.chance(0.85) { 1000 } else { 0 },
            ring: if random.chance(0.3) { 1 << 16 } else { 1 << 20 },
            timeouts: match random.chance(0.7) {
                true => [7_200_000, 240_000, 300_000, 60_000],
                false => [30_000, 8_000, 12_000, 6_000],
            },
        }
    }

    /// How many routers there are.
    pub fn nodes(&self) -> usize {
        self.upstream.len()
    }

    /// When the run ends.
    pub fn end(&self) -> Duration {
        self.active + QUIET
    }

    /// How long a copy may be on its way, in milliseconds.
    pub fn way(&self) -> i64 {
        (self.delay.1 * LATE + self.latency).as_millis() as i64 + 1
    }

    /// How far apart two times of last use may be that are the same: a refresh window, and some
    /// milliseconds on the way.
    pub fn tolerance(&self) -> i64 {
        i64::from(self.window) + 100
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} routers ({} with upstream's daemon), {:.1} s, loss {:.1} %, twice {:.1} %, \
             delay up to {:.1} ms, latency up to {:.1} ms, {} sessions, {:.0} packets/s, a fault each \
             {:.1} s, window {} ms, ring {} KiB, timeouts {:?}",
            self.seed,
            self.nodes(),
            self.upstream.iter().filter(|&&upstream| upstream).count(),
            self.active.as_secs_f64(),
            self.loss * 100.0,
            self.twice * 100.0,
            self.delay.1.as_secs_f64() * 1000.0,
            self.latency.as_secs_f64() * 1000.0,
            self.sessions,
            self.packets,
            self.faults.as_secs_f64(),
            self.window,
            self.ring >> 10,
            self.timeouts,
        )
    }
}
