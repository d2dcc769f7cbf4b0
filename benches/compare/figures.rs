//! What was measured: samples by daemon and metric, and what is told of them.

use std::collections::BTreeMap;

use crate::contender::Kind;

/// What is told of all samples of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The one in the middle.
    Median,
    /// All rounds together: a median would hide that a few of them lost a lot.
    Mean,
    /// The one that 99 % do not exceed.
    Percentile99,
}

/// Something that is measured. The order is the table's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Metric {
    SendCpu,
    SendUser,
    ReceiveCpu,
    ReceiveUser,
    SoftirqCpu,
    Rate,
    Lost,
    Repeated,
    BothCpu,
    BothRate,
    BothLost,
    BesideSendCpu,
    BesideReceiveCpu,
    BesideLost,
    SendCalls,
    ReceiveCalls,
    LatencyMedian,
    Latency99,
    LatencyLost,
    Stats99,
    StatsUnanswered,
    Exit,
    IdleWakeups,
    PeakMemory,
    PrivateMemory,
    Threads,
    Size,
}

impl Metric {
    /// All of them, in the table's order.
    pub const ALL: [Self; 27] = [
        Self::SendCpu,
        Self::SendUser,
        Self::ReceiveCpu,
        Self::ReceiveUser,
        Self::SoftirqCpu,
        Self::Rate,
        Self::Lost,
        Self::Repeated,
        Self::BothCpu,
        Self::BothRate,
        Self::BothLost,
        Self::BesideSendCpu,
        Self::BesideReceiveCpu,
        Self::BesideLost,
        Self::SendCalls,
        Self::ReceiveCalls,
        Self::LatencyMedian,
        Self::Latency99,
        Self::LatencyLost,
        Self::Stats99,
        Self::StatsUnanswered,
        Self::Exit,
        Self::IdleWakeups,
        Self::PeakMemory,
        Self::PrivateMemory,
        Self::Threads,
        Self::Size,
    ];

    /// Its row in the table: what it is, and the digits behind the point.
    pub fn row(self) -> (&'static str, usize) {
        match self {
            Self::SendCpu => ("CPU per batch sent, µs", 2),
            Self::SendUser => ("... of that in user mode, %", 0),
            Self::ReceiveCpu => ("CPU per batch received, µs", 2),
            Self::ReceiveUser => ("... of that in user mode, %", 0),
            Self::SoftirqCpu => ("kernel's softirq threads: CPU per batch, µs", 2),
            Self::Rate => ("batches per second (more is better)", 0),
            Self::Lost => ("batches lost, %", 2),
            Self::Repeated => ("batches that arrived twice, %", 2),
            Self::BothCpu => ("both ways: CPU per batch sent and one received, µs", 2),
            Self::BothRate => ("both ways: batches per second each way (more)", 0),
            Self::BothLost => ("both ways: batches lost, %", 2),
            Self::BesideSendCpu => ("kernel beside: CPU per batch sent, µs", 2),
            Self::BesideReceiveCpu => ("kernel beside: CPU per batch received, µs", 2),
            Self::BesideLost => ("kernel beside: batches lost, %", 2),
            Self::SendCalls => ("system calls per batch sent", 2),
            Self::ReceiveCalls => ("system calls per batch received", 2),
            Self::LatencyMedian => ("kernel to kernel, 100 batches/s: median, µs", 0),
            Self::Latency99 => ("kernel to kernel, 100 batches/s: 99th percentile, µs", 0),
            Self::LatencyLost => ("kernel to kernel, 100 batches/s: lost, %", 2),
            Self::Stats99 => ("stats answer, full load both ways: 99th percentile, ms", 2),
            Self::StatsUnanswered => ("stats requests unanswered in 1 s, %", 1),
            Self::Exit => ("SIGTERM to exit, full load both ways, ms", 2),
            Self::IdleWakeups => ("idle: wake-ups per second", 2),
            Self::PeakMemory => ("peak resident memory, kB", 0),
            Self::PrivateMemory => ("private memory, kB", 0),
            Self::Threads => ("threads", 0),
            Self::Size => ("program and own libraries, kB", 0),
        }
    }

    /// Whether one daemon's figure over another's says anything: a share's does not, nor does that
    /// of what others cause too.
    pub fn compares(self) -> bool {
        self != Self::SoftirqCpu && !self.row().0.ends_with('%')
    }

    /// What is told of its samples.
    pub fn summary(self) -> Summary {
        match self {
            Self::Latency99 | Self::Stats99 => Summary::Percentile99,
            Self::Lost
            | Self::Repeated
            | Self::BothLost
            | Self::BesideLost
            | Self::LatencyLost
            | Self::StatsUnanswered => Summary::Mean,
            _ => Summary::Median,
        }
    }
}

/// All samples.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    samples: BTreeMap<(Kind, Metric), Vec<f64>>,
}

impl Figures {
    /// One more sample.
    pub fn add(&mut self, kind: Kind, metric: Metric, value: f64) {
        self.samples.entry((kind, metric)).or_default().push(value);
    }

    /// All samples of a metric.
    pub fn samples(&self, kind: Kind, metric: Metric) -> &[f64] {
        self.samples.get(&(kind, metric)).map_or(&[], Vec::as_slice)
    }

    /// What is told of a metric, if it was measured.
    pub fn get(&self, kind: Kind, metric: Metric) -> Option<f64> {
        summarize(self.samples(kind, metric), metric.summary())
    }

    /// One daemon's figure over another's. None: one of them is missing or zero, or a share.
    pub fn ratio(&self, kind: Kind, other: Kind, metric: Metric) -> Option<f64> {
        let (one, two) = (self.get(kind, metric)?, self.get(other, metric)?);
        (metric.compares() && two > 0.0).then(|| one / two)
    }
}

/// The median of an even number is the mean of the two in the middle.
pub fn summarize(samples: &[f64], summary: Summary) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let at = |index: usize| sorted.get(index).copied();
    match summary {
        Summary::Median => Some((at(count.checked_sub(1)? / 2)? + at(count / 2)?) / 2.0),
        Summary::Mean => (count > 0).then(|| sorted.iter().sum::<f64>() / count as f64),
        Summary::Percentile99 => at((count * 99).div_ceil(100).checked_sub(1)?),
    }
}
