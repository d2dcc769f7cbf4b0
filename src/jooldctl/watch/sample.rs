//! One status of the daemon, as far as it is watched, and what passed between two.

use serde_json::Value;

/// The counters that are watched, by their words in the document, in the order of [`Sample::counters`].
pub const COUNTERS: [&str; 6] = [
    "updates from the kernel",
    "datagrams to the network",
    "datagrams from the network",
    "datagrams missed",
    "of those, made up for",
    "updates merged into later ones",
];

/// A status. What the document lacks, for the daemon is of another version, is empty, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The daemon's process, by which another is known.
    pub pid: u64,
    /// In words.
    pub standing: String,
    pub may_take_over: bool,
    pub instance: String,
    pub module_version: String,
    pub sessions: Option<u64>,
    pub receives_over: String,
    pub sends_over: String,
    pub counters: [u64; COUNTERS.len()],
    /// All that was dropped, refused or lost, whatever the reason.
    pub lost: u64,
    pub peers: Vec<Peer>,
}

/// Another router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    pub address: String,
    pub kind: String,
    pub standing: String,
    pub age_ms: u64,
    pub lag: u64,
    pub lost: u64,
    pub repaired: u64,
}

impl Sample {
    /// Reads the answer to `status`; nothing if it is none.
    pub fn read(document: &str) -> Option<Self> {
        let told: Value = serde_json::from_str(document).ok()?;
        told.get("standing")?.as_str()?;
        let sum = |of: &Value| {
            of.as_object()
                .map(|of| of.values().filter_map(Value::as_u64).sum())
        };
        let peers = told["peers"].as_array().map(Vec::as_slice);
        Some(Self {
            pid: number(&told["pid"]),
            standing: text(&told["standing"]),
            may_take_over: told["may take over"].as_bool().unwrap_or_default(),
            instance: text(&told["instance"]),
            module_version: text(&told["module version"]),
            sessions: told["sessions"].as_u64(),
            receives_over: text(&told["receives over"]),
            sends_over: text(&told["sends over"]),
            counters: COUNTERS.map(|words| number(&told["counters"][words])),
            lost: sum(&told["lost"]).unwrap_or_default(),
            peers: peers.unwrap_or_default().iter().map(Peer::read).collect(),
        })
    }

    /// What passed a second since `before`, so many seconds ago; nothing if another daemon counted that.
    pub fn rates(&self, before: &Self, seconds: f64) -> Option<[u64; COUNTERS.len()]> {
        if self.pid != before.pid || seconds <= 0.0 {
            return None;
        }
        let mut rates = [0; COUNTERS.len()];
        for (rate, (now, before)) in rates
            .iter_mut()
            .zip(self.counters.iter().zip(before.counters))
        {
            *rate = (now.checked_sub(before)? as f64 / seconds).round() as u64;
        }
        Some(rates)
    }
}

impl Peer {
    fn read(told: &Value) -> Self {
        Self {
            address: text(&told["address"]),
            kind: text(&told["kind"]),
            standing: text(&told["standing"]),
            age_ms: number(&told["age ms"]),
            lag: number(&told["lag"]),
            lost: number(&told["lost"]),
            repaired: number(&told["repaired"]),
        }
    }
}

/// A text without anything that a terminal would act on; "-" for null.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").replace(char::is_control, "?")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Counters;

    fn counted(pid: u64, updates: u64) -> Sample {
        let mut sample = Sample {
            pid,
            ..Sample::default()
        };
        sample.counters[0] = updates;
        sample
    }

    #[test]
    fn what_is_watched_is_what_the_daemon_counts() {
        let counts = Counters::default().counts();
        for words in COUNTERS {
            assert!(counts.iter().any(|count| count.words == words), "{words}");
        }
    }

    #[test]
    fn a_status_is_read_as_far_as_it_goes() {
        let told = Sample::read(
            r#"{"standing": "in sync", "may take over": true, "pid": 7, "module version": null,
                "sessions": 9, "counters": {"updates from the kernel": 4}, "lost": {"a": 1, "b": 2},
                "peers": [{"address": "a\u001b[2J", "lag": 3, "age ms": 20}], "more": [1]}"#,
        );
        let told = told.unwrap();
        assert_eq!(
            (&*told.standing, told.may_take_over, told.pid),
            ("in sync", true, 7)
        );
        assert_eq!((&*told.module_version, told.sessions), ("-", Some(9)));
        assert_eq!((told.counters, told.lost), ([4, 0, 0, 0, 0, 0], 3));
        let peer = &told.peers[0];
        assert_eq!((&*peer.address, peer.lag, peer.age_ms), ("a?[2J", 3, 20));
        for none in ["", "[]", "{}", "alone"] {
            assert_eq!(Sample::read(none), None);
        }
    }

    #[test]
    fn rates_are_of_one_daemon_alone() {
        assert_eq!(
            counted(1, 30).rates(&counted(1, 10), 0.5),
            Some([40, 0, 0, 0, 0, 0])
        );
        assert_eq!(counted(2, 30).rates(&counted(1, 10), 0.5), None);
        // The same number, in another namespace or by chance.
        assert_eq!(counted(1, 5).rates(&counted(1, 10), 0.5), None);
        assert_eq!(counted(1, 5).rates(&counted(1, 5), 0.0), None);
    }
}
