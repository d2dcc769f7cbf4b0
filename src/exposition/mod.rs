//! All numbers of a [`Status`], in the formats that monitoring reads.
//!
//! Every number has one name in all of them. Names are only ever added.

mod flat;
mod prometheus;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::engine::{Count, Kind, Reason, Standing};
use crate::status::{PeerStatus, Status, by_words};

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line each, `name value`.
    Lines,
    /// One object on one line, with the keys of [`Status`].
    Json,
    /// Prometheus's text exposition format, version 0.0.4.
    Prometheus,
    /// A line of names and one of values (RFC 4180, but for the line ends). The first six are those of
    /// upstream's stats server.
    Csv,
}

impl Format {
    /// What it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "all",
            Self::Json => "json",
            Self::Prometheus => "prometheus",
            Self::Csv => "csv",
        }
    }

    /// `status` in this format, to the newline at its end.
    pub fn write(self, status: &Status) -> String {
        match self {
            Self::Lines => flat::lines(status),
            Self::Json => json(status),
            Self::Prometheus => prometheus::text(status),
            Self::Csv => flat::csv(status),
        }
    }
}

/// What a number can be told by, besides its name.
type Labels = Vec<(&'static str, String)>;

/// Numbers of one name.
#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<(Labels, Value)>,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Whole(u64),
    /// So many thousandths.
    Milli(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Milli(value) => write!(f, "{}.{:03}", value / 1000, value % 1000),
        }
    }
}

impl From<Count> for Family {
    fn from(count: Count) -> Self {
        Self {
            name: count.name,
            help: count.help,
            kind: count.kind,
            samples: vec![(Labels::new(), Value::Whole(count.value))],
        }
    }
}

/// All that there is of a status but its counters, which are single numbers.
fn families(status: &Status) -> Vec<Family> {
    let mut families = vec![about(status), standing(status)];
    families.extend(levels(status).into_iter().map(Family::from));
    families.extend(status.counters.iter().copied().map(Family::from));
    families.push(lost(status));
    families.extend(peers(&status.peers));
    families
}

/// What is there now and has a value.
fn levels(status: &Status) -> Vec<Count> {
    let truth = u64::from(status.may_take_over);
    vec![
        Count::level("may_take_over", "may take over", truth)
            .meaning("whether this router may become master: 0 or 1"),
        Count::level("peers", "peers", status.peers.len() as u64)
            .meaning("other routers that are known"),
    ]
}

fn about(status: &Status) -> Family {
    let module = status.module_version.clone().unwrap_or_default();
    let labels = vec![
        ("version", status.version.to_owned()),
        ("module_version", module),
    ];
    Family {
        name: "info",
        help: "the versions of joold and of Jool's kernel module; always 1",
        kind: Kind::Level,
        samples: vec![(labels, Value::Whole(1))],
    }
}

fn standing(status: &Status) -> Family {
    let sample = |standing: Standing| {
        let label = ("standing", standing.to_string());
        let truth = Value::Whole(u64::from(standing == status.standing));
        (vec![label], truth)
    };
    Family {
        name: "standing",
        help: "where this router stands in its group: 1 for that, 0 for the others",
        kind: Kind::Level,
        samples: Standing::ALL.map(sample).into(),
    }
}

fn lost(status: &Status) -> Family {
    let sample =
        |&(reason, times): &(Reason, u64)| (vec![("reason", reason.id())], Value::Whole(times));
    Family {
        name: "lost",
        help: "what was dropped, refused or lost, by its reason",
        kind: Kind::Total,
        samples: status.lost.iter().map(sample).collect(),
    }
}

/// Each number of another router, by its address and number. Upstream's daemons tell no number.
fn peers(peers: &[PeerStatus]) -> [Family; 4] {
    let labels = |peer: &PeerStatus| {
        vec![
            ("address", peer.address.clone()),
            ("node", peer.node_id.clone().unwrap_or_default()),
            ("kind", peer.kind.to_string()),
        ]
    };
    let family = |name, help, kind, value: fn(&PeerStatus) -> Value| Family {
        name,
        help,
        kind,
        samples: peers
            .iter()
            .map(|peer| (labels(peer), value(peer)))
            .collect(),
    };
    let help = "by how many datagrams this router is behind another";
    [
        family("peer_lag", help, Kind::Level, |peer| Value::Whole(peer.lag)),
        family(
            "peer_lost",
            "datagrams of another router that did not come in their turn",
            Kind::Total,
            |peer| Value::Whole(peer.lost),
        ),
        family(
            "peer_repaired",
            "datagrams of another router that were missed and made up for",
            Kind::Total,
            |peer| Value::Whole(peer.repaired),
        ),
        family(
            "peer_age_seconds",
            "for how long nothing has been heard of another router",
            Kind::Level,
            |peer| Value::Milli(peer.age_ms),
        ),
    ]
}

/// The numbers under the keys of [`Status`], here with all reasons.
#[derive(Serialize)]
struct Numbers<'a> {
    instance: &'a str,
    standing: Standing,
    #[serde(rename = "may take over")]
    may_take_over: bool,
    #[serde(serialize_with = "by_words")]
    counters: &'a [Count],
    #[serde(serialize_with = "all_reasons")]
    lost: &'a [(Reason, u64)],
    peers: &'a [PeerStatus],
}

fn all_reasons<S: Serializer>(lost: &[(Reason, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(lost.iter().map(|(reason, times)| (reason.name(), times)))
}

fn json(status: &Status) -> String {
    let numbers = Numbers {
        instance: &status.instance,
        standing: status.standing,
        may_take_over: status.may_take_over,
        counters: &status.counters,
        lost: &status.lost,
        peers: &status.peers,
    };
    // No value of it has no JSON.
    serde_json::to_string(&numbers).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
