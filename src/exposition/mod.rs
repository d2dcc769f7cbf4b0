//! All numbers of a [`Status`], in the formats that monitoring reads.
//!
//! Every number has one name in all of them. Names are only ever added.

mod flat;
mod prometheus;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::engine::{Count, Kind, Reason, Standing};
use crate::status::{PeerStatus, Status, by_words, by_words_if_known, kernel_counters};
use crate::wire::statistics::Synchronization;

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

/// All that there is.
fn families(status: &Status) -> Vec<Family> {
    let mut families = vec![about(status), standing(status)];
    let known = singles(status)
        .into_iter()
        .filter(|(_, is_known)| *is_known);
    families.extend(known.map(|(count, _)| Family::from(count)));
    families.push(lost(status));
    families.extend(peers(&status.peers));
    families
}

/// A number, and whether it is known.
type Perhaps = (Count, bool);

/// All single numbers. Those that are not known have a place there, too.
fn singles(status: &Status) -> Vec<Perhaps> {
    let mut singles: Vec<Perhaps> = levels(status).into();
    let known = |count| (count, true);
    singles.extend(status.counters.iter().copied().map(known));
    let kernels = status.kernel_counters;
    let is_known = kernels.is_some();
    let kernels = kernels.unwrap_or_else(|| kernel_counters(Synchronization::default()));
    singles.extend(kernels.map(|count| (count, is_known)));
    singles
}

/// What is there now.
fn levels(status: &Status) -> [Perhaps; 7] {
    let level = |name, help, value: Option<u64>| {
        let count = Count::level(name, help, value.unwrap_or_default());
        (count, value.is_some())
    };
    let truth = |value: bool| Some(u64::from(value));
    [
        level(
            "may_take_over",
            "whether this router may become master: 0 or 1",
            truth(status.may_take_over),
        ),
        level(
            "peers",
            "other routers that are known",
            Some(status.peers.len() as u64),
        ),
        level(
            "kernel_sessions",
            "sessions in the kernel's table",
            status.sessions,
        ),
        level(
            "kernel_ss_enabled",
            "whether the instance synchronizes: 0 or 1",
            status.ss_enabled.and_then(truth),
        ),
        level(
            "kernel_ss_flush_deadline_milliseconds",
            "for how long the kernel waits for a batch to fill up",
            status.ss_flush_deadline.map(u64::from),
        ),
        level(
            "kernel_ss_capacity",
            "how many updates of sessions may wait in the kernel",
            status.ss_capacity.map(u64::from),
        ),
        level(
            "kernel_ss_max_sessions_per_packet",
            "how many sessions make a batch full",
            status.ss_max_sessions_per_packet.map(u64::from),
        ),
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
    #[serde(rename = "ss-enabled")]
    ss_enabled: Option<bool>,
    #[serde(rename = "ss-flush-deadline")]
    ss_flush_deadline: Option<u32>,
    #[serde(rename = "ss-capacity")]
    ss_capacity: Option<u32>,
    #[serde(rename = "ss-max-sessions-per-packet")]
    ss_max_sessions_per_packet: Option<u32>,
    sessions: Option<u64>,
    #[serde(rename = "kernel counters", serialize_with = "by_words_if_known")]
    kernel_counters: Option<[Count; 8]>,
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
        ss_enabled: status.ss_enabled,
        ss_flush_deadline: status.ss_flush_deadline,
        ss_capacity: status.ss_capacity,
        ss_max_sessions_per_packet: status.ss_max_sessions_per_packet,
        sessions: status.sessions,
        kernel_counters: status.kernel_counters,
        counters: &status.counters,
        lost: &status.lost,
        peers: &status.peers,
    };
    // No value of it has no JSON.
    serde_json::to_string(&numbers).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
