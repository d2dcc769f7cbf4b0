//! What this project wants to reach, and whether it does. Told, never asserted: a busy machine is
//! no failure.

use crate::contender::Kind;
use crate::figures::{Figures, Metric};

/// A ratio that ours is not to exceed.
struct Goal {
    metric: Metric,
    than: Kind,
    most: f64,
}

const GOALS: [Goal; 12] = [
    Goal::new(Metric::SendCpu, Kind::Plain, 1.10),
    Goal::new(Metric::ReceiveCpu, Kind::Plain, 1.10),
    Goal::new(Metric::BothCpu, Kind::Plain, 1.10),
    Goal::new(Metric::SendCpu, Kind::Upstream, 0.25),
    Goal::new(Metric::ReceiveCpu, Kind::Upstream, 0.25),
    Goal::new(Metric::SendCpu, Kind::Floor, 1.15),
    Goal::new(Metric::ReceiveCpu, Kind::Floor, 1.15),
    Goal::new(Metric::BothCpu, Kind::Floor, 1.15),
    Goal::new(Metric::BesideSendCpu, Kind::Floor, 1.15),
    Goal::new(Metric::BesideReceiveCpu, Kind::Floor, 1.15),
    Goal::new(Metric::LatencyMedian, Kind::Floor, 1.15),
    Goal::new(Metric::PeakMemory, Kind::Upstream, 1.0),
];

/// What ours is not to exceed, whatever others do, in the table's units.
const LIMITS: [(Metric, f64); 5] = [
    (Metric::Stats99, 10.0),
    (Metric::Exit, 100.0),
    (Metric::IdleWakeups, 1.0),
    // The ring has half of it.
    (Metric::PrivateMemory, 2048.0),
    (Metric::Size, 600.0),
];

/// Losses are to be none at all, in any round.
const WITHOUT_LOSS: [Metric; 3] = [Metric::Lost, Metric::BothLost, Metric::BesideLost];

impl Goal {
    const fn new(metric: Metric, than: Kind, most: f64) -> Self {
        Self { metric, than, most }
    }
}

/// One line a goal.
pub fn lines(figures: &Figures) -> Vec<String> {
    let mut lines = Vec::new();
    for Goal { metric, than, most } in GOALS {
        if let Some(ratio) = figures.ratio(Kind::Ours, than, metric) {
            let (name, than, verdict) = (metric.row().0, than.name(), verdict(ratio <= most));
            lines.push(format!(
                "{name}: goal {most:.2} x {than}, {verdict}: {ratio:.2}"
            ));
        }
    }
    for metric in WITHOUT_LOSS {
        if let Some(lost) = figures.get(Kind::Ours, metric) {
            let samples = figures.samples(Kind::Ours, metric).iter().copied();
            let worst = samples.fold(0.0, f64::max);
            let (name, verdict) = (metric.row().0, verdict(lost == 0.0));
            lines.push(format!(
                "{name}: goal 0, {verdict}: {lost:.2}, at worst {worst:.2}"
            ));
        }
    }
    for (metric, most) in LIMITS {
        if let Some(figure) = figures.get(Kind::Ours, metric) {
            let (name, verdict) = (metric.row().0, verdict(figure <= most));
            lines.push(format!("{name}: goal {most:.0}, {verdict}: {figure:.2}"));
        }
    }
    lines
}

fn verdict(reached: bool) -> &'static str {
    match reached {
        true => "reached",
        false => "missed",
    }
}
