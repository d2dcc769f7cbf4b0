//! The results as a table in Markdown that is readable as it is.

use std::fmt::Write;

use crate::contender::Kind;
use crate::figures::{Figures, Metric};
use crate::goals;
use crate::machine::Machine;
use crate::options::Options;
use crate::rounds::{Results, spread};

/// The whole report.
pub fn report(options: &Options, machine: &Machine, upstream: &str, results: &Results) -> String {
    let mut out = String::new();
    head(&mut out, options, machine, upstream);
    rows(&mut out, &results.figures);
    calls(&mut out, results);
    list(&mut out, "Goals", &goals::lines(&results.figures));
    list(&mut out, "Not measured", &results.gaps);
    out
}

/// The columns that have any figures.
fn columns(figures: &Figures) -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| {
            Metric::ALL
                .iter()
                .any(|metric| figures.get(*kind, *metric).is_some())
        })
        .collect()
}

fn head(out: &mut String, options: &Options, machine: &Machine, upstream: &str) {
    let Machine {
        processor,
        cores,
        kernel,
        receive_buffer,
        load_before,
    } = machine;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{} rounds, {} batches of 36 sessions a burst; {processor}, {cores} cores, Linux {kernel}, \
         default receive buffer {receive_buffer} bytes, load before {load_before:.1}.\n\
         \"ours, plain\" is ours with \"extensions\": false. \
         Upstream: {upstream}. \"mute\" is the same without syslog(3); \"floor\" is \
         benches/floor.c. Medians, unless a percentile is named; \
         losses are those of all rounds together.\n",
        options.rounds, options.batches
    );
}

fn rows(out: &mut String, figures: &Figures) {
    let kinds = columns(figures);
    let mut table = vec![titles(&kinds)];
    for metric in Metric::ALL {
        let (name, digits) = metric.row();
        let values: Vec<_> = kinds
            .iter()
            .map(|kind| figures.get(*kind, metric))
            .collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let mut row = vec![name.to_owned()];
        row.extend(values.iter().map(|value| cell(*value, digits)));
        row.extend(others(&kinds).map(|other| cell(figures.ratio(Kind::Ours, other, metric), 2)));
        table.push(row);
    }
    write_table(out, &table);
    let calm = spread(figures, Kind::Floor, Metric::SendCpu);
    // One round differs from no other.
    if let Some(spread) = calm.filter(|spread| *spread > 0.0) {
        let _ = writeln!(
            out,
            "\nThe floor's CPU per batch sent differed by {spread:.0} % between rounds."
        );
    }
}

/// Those that ours is compared with.
fn others(kinds: &[Kind]) -> impl Iterator<Item = Kind> {
    kinds.iter().copied().filter(|kind| *kind != Kind::Ours)
}

fn titles(kinds: &[Kind]) -> Vec<String> {
    let mut titles = vec![String::new()];
    titles.extend(kinds.iter().map(|kind| kind.title().to_owned()));
    titles.extend(others(kinds).map(|other| format!("ours/{}", other.name())));
    titles
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn write_table(out: &mut String, table: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    for (index, row) in table.iter().enumerate() {
        let mut line = String::from("|");
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ = match column {
                0 => write!(line, " {cell:<width$} |"),
                _ => write!(line, " {cell:>width$} |"),
            };
        }
        let _ = writeln!(out, "{line}");
        if index == 0 {
            let rule = |column| match column {
                0 => "-".repeat(width(column) + 2),
                _ => "-".repeat(width(column) + 1) + ":",
            };
            let rules: Vec<_> = (0..row.len()).map(rule).collect();
            let _ = writeln!(out, "|{}|", rules.join("|"));
        }
    }
}

fn calls(out: &mut String, results: &Results) {
    let lines = results.calls.iter().flat_map(|(kind, both)| {
        ["sent", "received"].iter().zip(both).map(|(way, calls)| {
            // What happens once, and not once a batch, is not told.
            let often = calls.iter().filter(|(_, count)| **count >= 0.005);
            let named: Vec<_> = often
                .map(|(name, count)| format!("{count:.2} {name}"))
                .collect();
            format!("{}, per batch {way}: {}", kind.title(), named.join(", "))
        })
    });
    list(out, "System calls", &lines.collect::<Vec<_>>());
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}:\n");
    for line in lines {
        let _ = writeln!(out, "- {line}");
    }
}
