//! The rounds: every daemon is measured in each, in turn, so that what else the machine does falls
//! on all of them alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::burst::{self, Burst, Flow};
use crate::calls::{self, Calls};
use crate::compile::Compiled;
use crate::contender::{Contender, Kind};
use crate::figures::{Figures, Metric, Summary, summarize};
use crate::options::{Options, Part};
use crate::process::{Memory, Usage};
use crate::stage::{Place, Stage};
use crate::{latency, load};

/// How long nothing happens when idle wake-ups are counted.
const IDLE: Duration = Duration::from_secs(3);

/// A burst with the stand-in beside is slower, and has so many times fewer batches.
const FEWER: u64 = 4;

/// What comes out of all rounds.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The numbers.
    pub figures: Figures,
    /// System calls per batch, by daemon: sending and receiving.
    pub calls: BTreeMap<Kind, [Calls; 2]>,
    /// What could not be measured, and why.
    pub gaps: Vec<String>,
}

/// Measures everything.
pub fn run(
    options: &Options,
    contenders: &[Contender],
    compiled: &Compiled,
    scratch: &Path,
) -> Results {
    let mut run = Run {
        options,
        compiled,
        scratch,
        results: Results::default(),
    };
    run.once(contenders);
    for round in 0..options.rounds {
        for turn in 0..contenders.len() {
            // Whoever comes first in one round comes later in the next.
            let contender = &contenders[(round + turn) % contenders.len()];
            let name = contender.kind.name();
            eprintln!("round {} of {}: {name}", round + 1, options.rounds);
            run.round(contender);
        }
    }
    run.results
}

struct Run<'a> {
    options: &'a Options,
    compiled: &'a Compiled,
    scratch: &'a Path,
    results: Results,
}

type Outcome = Result<(), String>;

impl Run<'_> {
    fn wants(&self, part: Part) -> bool {
        self.options.parts.contains(&part)
    }

    fn add(&mut self, contender: &Contender, metric: Metric, value: f64) {
        self.results.figures.add(contender.kind, metric, value);
    }

    fn stage(&self, contender: &Contender, place: Place) -> Result<Stage, String> {
        Stage::new(contender, place, self.compiled)
    }

    /// Notes what went wrong; the other measurements go on.
    fn try_to(
        &mut self,
        what: &str,
        contender: &Contender,
        work: impl FnOnce(&mut Self) -> Outcome,
    ) {
        if let Err(why) = work(self) {
            let gap = format!("{what} of {}: {why}", contender.kind.name());
            eprintln!("not measured: {gap}");
            self.results.gaps.push(gap);
        }
    }

    /// What does not depend on the machine's mood.
    fn once(&mut self, contenders: &[Contender]) {
        let strace = calls::available();
        if self.wants(Part::Calls) && !strace {
            let gap = "system calls: there is no strace here (Debian: apt install strace)";
            self.results.gaps.push(gap.to_owned());
        }
        for contender in contenders {
            self.try_to("the size", contender, |run| run.size(contender));
            if self.wants(Part::Calls) && strace {
                eprintln!("system calls: {}", contender.kind.name());
                self.try_to("system calls", contender, |run| run.calls(contender));
            }
        }
    }

    fn round(&mut self, contender: &Contender) {
        if self.wants(Part::Burst) {
            self.try_to("a burst", contender, |run| run.burst(contender));
        }
        if self.wants(Part::Beside) {
            self.try_to("a burst beside", contender, |run| run.beside(contender));
        }
        if self.wants(Part::Latency) || self.wants(Part::Idle) {
            self.try_to("latency", contender, |run| run.quiet(contender));
        }
        // The floor has no stats server, and upstream's is ended by the signal itself.
        if self.wants(Part::Stats) && contender.kind != Kind::Floor {
            self.try_to("statistics", contender, |run| run.statistics(contender));
        }
        if self.wants(Part::Exit) && matches!(contender.kind, Kind::Ours | Kind::Plain) {
            self.try_to("the end", contender, |run| run.exit(contender));
        }
    }

    fn size(&mut self, contender: &Contender) -> Outcome {
        let bytes = contender.size().map_err(|error| error.to_string())?;
        self.add(contender, Metric::Size, bytes as f64 / 1000.0);
        Ok(())
    }

    fn calls(&mut self, contender: &Contender) -> Outcome {
        let sending = calls::sending(&self.stage(contender, Place::Inside)?, self.scratch)?;
        let receiving = calls::receiving(&self.stage(contender, Place::Inside)?, self.scratch)?;
        self.add(contender, Metric::SendCalls, sending.values().sum());
        self.add(contender, Metric::ReceiveCalls, receiving.values().sum());
        let calls = [sending, receiving];
        self.results.calls.insert(contender.kind, calls);
        Ok(())
    }

    fn burst(&mut self, contender: &Contender) -> Outcome {
        let stage = self.stage(contender, Place::Inside)?;
        let burst = burst::run(&stage, self.options.batches, false)?;
        self.one_way(contender, &burst);
        let both = burst::run(&stage, self.options.batches, true)?;
        self.both_ways(contender, &both);
        self.check(contender, [Some(burst.out), Some(both.out), both.back]);
        Ok(())
    }

    fn check(&mut self, contender: &Contender, flows: [Option<Flow>; 3]) {
        for flow in flows.into_iter().flatten().filter(|flow| flow.strange > 0) {
            let (name, strange) = (contender.kind.name(), flow.strange);
            let gap = format!("{name}: {strange} sessions arrived that no kernel sent like that");
            self.results.gaps.push(gap);
        }
    }

    fn one_way(&mut self, contender: &Contender, burst: &Burst) {
        let (given, arrived) = (burst.out.given, burst.out.arrived);
        self.add(
            contender,
            Metric::SendCpu,
            microseconds(&burst.j.usage, given),
        );
        self.add(
            contender,
            Metric::ReceiveCpu,
            microseconds(&burst.k.usage, arrived),
        );
        self.add(contender, Metric::SendUser, user_share(&burst.j.usage));
        self.add(contender, Metric::ReceiveUser, user_share(&burst.k.usage));
        let softirq = burst.softirq.as_secs_f64() * 1e6 / given.max(1) as f64;
        self.add(contender, Metric::SoftirqCpu, softirq);
        self.add(contender, Metric::Rate, rate(&burst.out));
        self.add(contender, Metric::Lost, lost(&burst.out));
        self.add(
            contender,
            Metric::Repeated,
            percent(burst.out.repeated, given),
        );
    }

    fn both_ways(&mut self, contender: &Contender, burst: &Burst) {
        for flow in [Some(burst.out), burst.back].into_iter().flatten() {
            self.add(contender, Metric::BothRate, rate(&flow));
            self.add(contender, Metric::BothLost, lost(&flow));
        }
        let back = burst.back.unwrap_or(burst.out);
        let ways = [(&burst.j, burst.out, back), (&burst.k, back, burst.out)];
        for (cost, sent, received) in ways {
            // As many of each unless some were lost: then what was done counts, not what should be.
            let pairs = (sent.given + received.arrived) / 2;
            self.add(contender, Metric::BothCpu, microseconds(&cost.usage, pairs));
            let Memory { peak, private } = cost.memory;
            self.add(contender, Metric::PeakMemory, peak as f64 / 1024.0);
            self.add(contender, Metric::PrivateMemory, private as f64 / 1024.0);
            self.add(contender, Metric::Threads, cost.threads as f64);
        }
    }

    fn beside(&mut self, contender: &Contender) -> Outcome {
        let stage = self.stage(contender, Place::Beside)?;
        let batches = (self.options.batches / FEWER).max(1);
        let burst = burst::run(&stage, batches, false)?;
        let (given, arrived) = (burst.out.given, burst.out.arrived);
        self.add(
            contender,
            Metric::BesideSendCpu,
            microseconds(&burst.j.usage, given),
        );
        let receiving = microseconds(&burst.k.usage, arrived);
        self.add(contender, Metric::BesideReceiveCpu, receiving);
        self.add(contender, Metric::BesideLost, lost(&burst.out));
        Ok(())
    }

    fn quiet(&mut self, contender: &Contender) -> Outcome {
        let stage = self.stage(contender, Place::Inside)?;
        if self.wants(Part::Latency) {
            let latencies = latency::run(&stage).map_err(|error| error.to_string())?;
            let all = latencies.len() as u64;
            for nanoseconds in latencies.iter().flatten() {
                let microseconds = *nanoseconds as f64 / 1e3;
                self.add(contender, Metric::LatencyMedian, microseconds);
                self.add(contender, Metric::Latency99, microseconds);
            }
            let arrived = latencies.iter().flatten().count() as u64;
            self.add(contender, Metric::LatencyLost, percent(all - arrived, all));
        }
        if self.wants(Part::Idle) {
            self.idle(contender, &stage)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn idle(&mut self, contender: &Contender, stage: &Stage) -> std::io::Result<()> {
        let before = Usage::of(&stage.j.daemon)?;
        sleep(IDLE);
        let used = Usage::of(&stage.j.daemon)?.since(before);
        let per_second = used.wakeups as f64 / IDLE.as_secs_f64();
        self.add(contender, Metric::IdleWakeups, per_second);
        Ok(())
    }

    fn statistics(&mut self, contender: &Contender) -> Outcome {
        let stage = self.stage(contender, Place::Inside)?;
        let answers = load::statistics(&stage).map_err(|error| error.to_string())?;
        for answer in answers.iter().flatten() {
            self.add(contender, Metric::Stats99, answer.as_secs_f64() * 1e3);
        }
        let answered = answers.iter().flatten().count() as u64;
        let all = answers.len() as u64;
        let unanswered = percent(all - answered, all);
        self.add(contender, Metric::StatsUnanswered, unanswered);
        Ok(())
    }

    fn exit(&mut self, contender: &Contender) -> Outcome {
        let mut stage = self.stage(contender, Place::Inside)?;
        let took = load::exit(&mut stage).map_err(|error| error.to_string())?;
        self.add(contender, Metric::Exit, took.as_secs_f64() * 1e3);
        Ok(())
    }
}

/// Processor time for each of so many batches.
fn microseconds(usage: &Usage, batches: u64) -> f64 {
    usage.processor.as_secs_f64() * 1e6 / batches.max(1) as f64
}

fn user_share(usage: &Usage) -> f64 {
    percent(usage.user_ticks, usage.user_ticks + usage.system_ticks)
}

fn rate(flow: &Flow) -> f64 {
    flow.given as f64 / flow.duration.as_secs_f64()
}

fn lost(flow: &Flow) -> f64 {
    percent(flow.given.saturating_sub(flow.arrived), flow.given)
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// The widest spread of a metric's samples over its median, in percent: how calm the machine was.
pub fn spread(figures: &Figures, kind: Kind, metric: Metric) -> Option<f64> {
    let samples = figures.samples(kind, metric);
    let median = summarize(samples, Summary::Median)?;
    let low = samples.iter().copied().reduce(f64::min)?;
    let high = samples.iter().copied().reduce(f64::max)?;
    Some(100.0 * (high - low) / median)
}
