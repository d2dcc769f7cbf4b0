//! What a watcher sees: frames for a terminal, and lines for everything else.

use std::collections::VecDeque;

use super::sample::{COUNTERS, Sample};

/// How many rates are remembered: as many as a very wide terminal shows.
const REMEMBERED: usize = 512;

/// After how many lines the headings come again.
const HEADING: usize = 20;

/// What is known by now.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// As it was told last.
    pub sample: Option<Sample>,
    /// What passed a second until then, in the order of [`COUNTERS`].
    pub rates: Option<[u64; COUNTERS.len()]>,
    /// Why nothing was told this time.
    pub trouble: Option<String>,
    /// Updates a second, the latest last.
    history: VecDeque<u64>,
    /// How many lines there were.
    lines: usize,
}

/// How a line of a frame looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Heading,
    Good,
    Bad,
}

/// What a terminal can do.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub columns: usize,
    pub rows: usize,
    /// Whether it shows more than ASCII.
    pub is_unicode: bool,
    pub has_colours: bool,
}

impl View {
    /// The daemon told this, so many seconds after the last time.
    pub fn told(&mut self, sample: Sample, seconds: f64) {
        let before = self.sample.as_ref();
        self.rates = before.and_then(|before| sample.rates(before, seconds));
        if let Some([updates, ..]) = self.rates {
            self.history.push_back(updates);
            if self.history.len() > REMEMBERED {
                self.history.pop_front();
            }
        }
        (self.sample, self.trouble) = (Some(sample), None);
    }

    /// It did not answer.
    pub fn failed(&mut self, why: String) {
        (self.rates, self.trouble) = (None, Some(why));
    }

    /// The next line, or two with the headings.
    pub fn line(&mut self) -> String {
        let mut text = String::new();
        if self.lines % HEADING == 0 {
            text = row([
                "standing",
                "updates/s",
                "sent/s",
                "received/s",
                "missed/s",
                "sessions",
                "peers",
            ]);
        }
        self.lines += 1;
        let rate = |n: usize| {
            self.rates
                .map_or("-".to_owned(), |rates| rates[n].to_string())
        };
        let sample = self.sample.as_ref().filter(|_| self.trouble.is_none());
        let of = |value: fn(&Sample) -> String| sample.map_or("-".to_owned(), value);
        let standing = sample.map_or("no answer", |sample| &sample.standing);
        text + &row([
            standing,
            &rate(0),
            &rate(1),
            &rate(2),
            &rate(3),
            &of(|sample| known(sample.sessions)),
            &of(|sample| sample.peers.len().to_string()),
        ])
    }

    /// What a screen shows, as bytes for the terminal: all of it is drawn over.
    pub fn frame(&self, screen: &Screen) -> String {
        let mut lines = self.head();
        if let Some(sample) = &self.sample {
            lines.push((Look::Plain, String::new()));
            lines.extend(self.traffic(sample));
            lines.push((Look::Plain, String::new()));
            lines.extend(self.history(screen));
            lines.push((Look::Plain, String::new()));
            lines.extend(peers(sample));
        }
        lines.truncate(screen.rows.max(1));
        paint(&lines, screen)
    }

    fn head(&self) -> Vec<(Look, String)> {
        let mut lines = Vec::new();
        if let Some(sample) = &self.sample {
            let (may, look) = match sample.may_take_over {
                true => ("may become master", Look::Good),
                false => ("may not become master", Look::Bad),
            };
            let sessions = known(sample.sessions);
            lines.push((
                Look::Heading,
                format!(
                    "joold {}: Jool {}, {sessions} sessions, in over {}, out over {}",
                    sample.instance, sample.module_version, sample.receives_over, sample.sends_over
                ),
            ));
            if self.trouble.is_none() {
                lines.push((look, format!("{}, {may}", sample.standing)));
            }
        }
        if let Some(why) = &self.trouble {
            lines.push((
                Look::Bad,
                "no answer; waiting, and what follows is old".to_owned(),
            ));
            lines.push((Look::Plain, why.clone()));
        }
        lines
    }

    fn traffic(&self, sample: &Sample) -> Vec<(Look, String)> {
        let width = COUNTERS.map(str::len).into_iter().max().unwrap_or_default();
        let line =
            |name: &str, rate: &str, all: &str| format!("{name:width$} {rate:>12} {all:>20}");
        let mut lines = vec![(Look::Heading, line("", "a second", "since its start"))];
        for (n, name) in COUNTERS.into_iter().enumerate() {
            let rate = self
                .rates
                .map_or("-".to_owned(), |rates| rates[n].to_string());
            let all = sample.counters[n].to_string();
            lines.push((Look::Plain, line(name, &rate, &all)));
        }
        let lost = sample.lost.to_string();
        lines.push((Look::Plain, line("dropped or lost, all reasons", "", &lost)));
        lines
    }

    fn history(&self, screen: &Screen) -> [(Look, String); 2] {
        let shown = self.history.len().saturating_sub(screen.columns);
        let shown: Vec<_> = self.history.iter().skip(shown).copied().collect();
        let most = shown.iter().copied().max().unwrap_or_default();
        [
            (Look::Heading, format!("updates a second, {most} at most")),
            (Look::Plain, sparkline(&shown, screen.is_unicode)),
        ]
    }
}

fn known(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn row([standing, others @ ..]: [&str; 7]) -> String {
    let others = others.map(|other| format!("{other:>11}")).concat();
    format!("{standing:<14}{others}\n")
}

fn peers(sample: &Sample) -> Vec<(Look, String)> {
    let addresses = sample.peers.iter().map(|peer| peer.address.chars().count());
    let width = addresses
        .max()
        .unwrap_or_default()
        .max("other routers".len());
    let line = |cells: [&str; 7]| {
        let [address, kind, standing, age, lag, lost, repaired] = cells;
        format!("{address:width$}  {kind:8}  {standing:14}{age:>8}{lag:>8}{lost:>10}{repaired:>10}")
    };
    let heading = [
        "other routers",
        "kind",
        "standing",
        "age s",
        "lag",
        "lost",
        "repaired",
    ];
    let mut lines = vec![(Look::Heading, line(heading))];
    for peer in &sample.peers {
        let age = format!("{}.{}", peer.age_ms / 1000, peer.age_ms % 1000 / 100);
        let numbers = [peer.lag, peer.lost, peer.repaired].map(|number| number.to_string());
        let [lag, lost, repaired] = &numbers;
        let cells = [
            &peer.address,
            &peer.kind,
            &peer.standing,
            &age,
            lag,
            lost,
            repaired,
        ];
        lines.push((Look::Plain, line(cells.map(String::as_str))));
    }
    if sample.peers.is_empty() {
        lines.push((Look::Plain, "none".to_owned()));
    }
    lines
}

/// A letter for each value, the higher the more; of nothing, the lowest.
fn sparkline(values: &[u64], is_unicode: bool) -> String {
    let letters: Vec<char> = match is_unicode {
        true => "▁▂▃▄▅▆▇█",
        false => "_.-=+*%#",
    }
    .chars()
    .collect();
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    let top = letters.len() - 1;
    let letter = |value: u64| {
        // Whatever is more than nothing is seen.
        let height = (u128::from(value) * top as u128).div_ceil(u128::from(most));
        letters[usize::try_from(height).unwrap_or(top).min(top)]
    };
    values.iter().copied().map(letter).collect()
}

fn paint(lines: &[(Look, String)], screen: &Screen) -> String {
    // From the top; behind each line, the rest of an older one goes, and at last all below.
    let mut out = "\x1b[H".to_owned();
    for (number, (look, text)) in lines.iter().enumerate() {
        let colour = match look {
            _ if !screen.has_colours => "",
            Look::Plain => "",
            Look::Heading => "\x1b[1m",
            Look::Good => "\x1b[32m",
            Look::Bad => "\x1b[31m",
        };
        let plain = if colour.is_empty() { "" } else { "\x1b[m" };
        let text: String = text.chars().take(screen.columns).collect();
        let newline = if number == 0 { "" } else { "\r\n" };
        out += &format!("{newline}{colour}{text}{plain}\x1b[K");
    }
    out + "\x1b[J"
}

#[cfg(test)]
mod tests;
