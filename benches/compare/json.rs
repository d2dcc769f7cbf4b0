//! The results for programs: every sample, with what it was measured on.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::calls::Calls;
use crate::contender::Kind;
use crate::figures::{Figures, Metric};
use crate::goals;
use crate::machine::Machine;
use crate::options::Options;
use crate::rounds::Results;

#[derive(Serialize)]
struct Document<'a> {
    machine: &'a Machine,
    rounds: usize,
    batches: u64,
    upstream: &'a str,
    metrics: Vec<Row<'a>>,
    calls: BTreeMap<&'a str, Both<'a>>,
    goals: Vec<String>,
    gaps: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    metric: String,
    what: &'a str,
    daemons: BTreeMap<&'a str, Column<'a>>,
}

#[derive(Serialize)]
struct Column<'a> {
    figure: f64,
    samples: &'a [f64],
}

#[derive(Serialize)]
struct Both<'a> {
    sent: &'a Calls,
    received: &'a Calls,
}

/// The document.
///
/// # Errors
/// None: all keys are strings.
pub fn document(
    options: &Options,
    machine: &Machine,
    upstream: &str,
    results: &Results,
) -> Result<String, serde_json::Error> {
    let rows = Metric::ALL
        .iter()
        .map(|metric| row(&results.figures, *metric));
    let calls = results.calls.iter();
    serde_json::to_string_pretty(&Document {
        machine,
        rounds: options.rounds,
        batches: options.batches,
        upstream,
        metrics: rows.collect(),
        calls: calls
            .map(|(kind, [sent, received])| (kind.name(), Both { sent, received }))
            .collect(),
        goals: goals::lines(&results.figures),
        gaps: &results.gaps,
    })
}

fn row(figures: &Figures, metric: Metric) -> Row<'_> {
    let column = |kind: Kind| {
        let figure = figures.get(kind, metric)?;
        let samples = figures.samples(kind, metric);
        Some((kind.name(), Column { figure, samples }))
    };
    Row {
        metric: format!("{metric:?}"),
        what: metric.row().0,
        daemons: Kind::ALL.into_iter().filter_map(column).collect(),
    }
}
