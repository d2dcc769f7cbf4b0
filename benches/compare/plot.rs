//! CPU per batch as bars, in SVG: for the README, on a light or a dark page.

use std::fmt::Write;

use crate::contender::Kind;
use crate::figures::{Figures, Metric};

/// The groups of bars.
const GROUPS: [(Metric, &str); 2] = [
    (Metric::SendCpu, "sending a batch"),
    (Metric::ReceiveCpu, "receiving a batch"),
];

/// Readable on white and on black.
const TEXT: &str = "#7f868f";

const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 20.0;
const STEP: f64 = 26.0;
const TITLE: f64 = 34.0;

/// The picture.
pub fn svg(figures: &Figures) -> String {
    let bars = |metric| {
        let value = move |kind| Some((kind, figures.get(kind, metric)?));
        Kind::ALL.into_iter().filter_map(value).collect::<Vec<_>>()
    };
    let longest = GROUPS
        .iter()
        .flat_map(|(metric, _)| bars(*metric))
        .map(|(_, value)| value)
        .fold(0.0, f64::max);
    let mut body = String::new();
    let mut y = TITLE;
    text(
        &mut body,
        (0.0, 18.0),
        "CPU per batch of 36 sessions, microseconds; less is better",
    );
    for (metric, title) in GROUPS {
        y += STEP;
        text(&mut body, (0.0, y - 6.0), title);
        for (kind, value) in bars(metric) {
            bar(&mut body, y, kind, value, longest);
            y += STEP;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" \
         height=\"{y}\" role=\"img\" font-family=\"sans-serif\" font-size=\"14\" fill=\"{TEXT}\">\n\
         <title>CPU per batch, by daemon</title>\n{body}</svg>\n"
    )
}

fn bar(out: &mut String, y: f64, kind: Kind, value: f64, longest: f64) {
    let (label, colour) = match kind {
        Kind::Ours => ("this joold", "#2f9e77"),
        Kind::Plain => ("without extensions", "#7fbfa4"),
        Kind::Upstream => ("upstream's", "#c2603c"),
        Kind::Mute => ("upstream's, no log", "#b98a3a"),
        Kind::Floor => ("floor (plain C)", "#6f7f95"),
    };
    let length = (WIDTH - LEFT - RIGHT) * value / longest.max(f64::MIN_POSITIVE);
    text(out, (16.0, y + 15.0), label);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{colour}\"/>"
    );
    text(out, (LEFT + length + 8.0, y + 15.0), &format!("{value:.2}"));
}

fn text(out: &mut String, (x, y): (f64, f64), words: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
