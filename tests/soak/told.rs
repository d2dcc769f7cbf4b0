//! What a daemon tells of its counters, read back.

use std::collections::HashMap;

use joold::engine::Reason;

/// The counters of one line. What a line does not mention is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    counts: HashMap<String, u64>,
    bytes: HashMap<String, u64>,
}

impl Told {
    /// The last line behind `before` in a log, if there is one.
    pub fn last(log: &str, before: &str) -> Option<Self> {
        let complete = &log[..log.rfind('\n')? + 1];
        let line = complete.rsplit_once(before)?.1.lines().next()?;
        let mut told = Self::default();
        for part in line.split("; ") {
            let (name, numbers) = part.rsplit_once(": ")?;
            let mut numbers = numbers.split(" (");
            told.counts
                .insert(name.to_owned(), numbers.next()?.parse().ok()?);
            if let Some(bytes) = numbers.next() {
                let bytes = bytes.strip_suffix(" bytes)")?;
                told.bytes.insert(name.to_owned(), bytes.parse().ok()?);
            }
        }
        Some(told)
    }

    /// What is counted under that name.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// The bytes of it.
    pub fn bytes(&self, name: &str) -> u64 {
        self.bytes.get(name).copied().unwrap_or_default()
    }

    /// What was lost for any of these reasons.
    pub fn lost(&self, reasons: &[Reason]) -> u64 {
        reasons.iter().map(|reason| self.count(reason.name())).sum()
    }
}
