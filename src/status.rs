//! What the daemon tells of itself when it is asked over the control socket, as one JSON document.
//!
//! Keys are only ever added: whoever reads it should pass over those that it does not know.

use std::fmt;
use std::process;

use serde::{Serialize, Serializer};

use crate::config::{Config, Link};
use crate::engine::{Count, Counters, Engine, Reason, Standing};
use crate::logging;
use crate::place::Place;
use crate::sync::Sync;
use crate::wire::globals::Global;
use crate::wire::statistics::Synchronization;

/// The whole of it. The keys are the fields' names, with spaces.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Where this router stands in its group.
    pub standing: Standing,
    /// Whether it may become master: see [`Standing::may_take_over`].
    #[serde(rename = "may take over")]
    pub may_take_over: bool,
    /// The Jool instance, as the module file spells it.
    pub instance: String,
    /// The version of Jool's kernel module, if it is there and known.
    #[serde(rename = "module version")]
    pub module_version: Option<String>,
    /// Whether the instance synchronizes, as the kernel told last; nothing if it is not there.
    #[serde(rename = "ss-enabled")]
    pub ss_enabled: Option<bool>,
    /// In milliseconds, likewise.
    #[serde(rename = "ss-flush-deadline")]
    pub ss_flush_deadline: Option<u32>,
    /// In updates of sessions, likewise.
    #[serde(rename = "ss-capacity")]
    pub ss_capacity: Option<u32>,
    /// In sessions, likewise; Jool before 4.1.11 has none.
    #[serde(rename = "ss-max-sessions-per-packet")]
    pub ss_max_sessions_per_packet: Option<u32>,
    /// How many sessions the instance's table has, as the kernel told last; nothing if it is not there.
    pub sessions: Option<u64>,
    /// What the kernel has counted of the synchronization; nothing if the numbers of this version of Jool
    /// are not known.
    #[serde(rename = "kernel counters", serialize_with = "by_words_if_known")]
    pub kernel_counters: Option<[Count; 8]>,
    /// The group.
    #[serde(rename = "multicast address")]
    pub multicast_address: String,
    /// Its UDP port.
    #[serde(rename = "multicast port")]
    pub multicast_port: u16,
    /// As the network file names it; nothing if that leaves it to the kernel.
    #[serde(rename = "in interface")]
    pub in_interface: Option<Link>,
    /// Likewise.
    #[serde(rename = "out interface")]
    pub out_interface: Option<Link>,
    /// The interface where the group is joined now, and what is wrong with it.
    #[serde(rename = "receives over")]
    pub receives_over: Option<String>,
    /// Likewise of where datagrams leave.
    #[serde(rename = "sends over")]
    pub sends_over: Option<String>,
    /// The daemon's own version.
    pub version: &'static str,
    /// The daemon's process id, in its own namespace.
    pub pid: u32,
    /// What passed since the start.
    #[serde(serialize_with = "by_words")]
    pub counters: Vec<Count>,
    /// What was lost since the start, by its reason; the document has only what happened.
    #[serde(serialize_with = "what_happened")]
    pub lost: Vec<(Reason, u64)>,
    /// The other routers, as far as they are known.
    pub peers: Vec<PeerStatus>,
}

/// What is known of another router.
#[derive(Clone, Debug, Serialize)]
pub struct PeerStatus {
    /// Where its datagrams come from.
    pub address: String,
    /// Whether it understands more than sessions.
    pub kind: PeerKind,
    /// Which run of its daemon that is; an upstream's does not tell.
    #[serde(rename = "node id")]
    pub node_id: Option<String>,
    /// For how many milliseconds nothing has been heard of it.
    #[serde(rename = "age ms")]
    pub age_ms: u64,
    /// Where it says that it stands; an upstream's does not.
    pub standing: Option<Standing>,
    /// How many of its datagrams did not arrive.
    pub lost: u64,
    /// How many of those were made up for.
    pub repaired: u64,
    /// By how many datagrams this router is behind it.
    pub lag: u64,
}

/// What kind of daemon another router has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// One like this.
    Joold,
    /// Upstream's.
    Upstream,
}

impl fmt::Display for PeerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joold => "joold",
            Self::Upstream => "upstream",
        })
    }
}

impl Status {
    /// That of a daemon with this configuration and this engine, which found the interfaces so.
    pub fn of(config: &Config, engine: &Engine, place: Option<&Place>) -> Self {
        let standing = engine.standing();
        Self {
            standing,
            may_take_over: standing.may_take_over(),
            instance: config.modsocket.instance.to_string(),
            module_version: engine.module_version().map(|version| version.to_string()),
            ss_enabled: engine.global(Global::SsEnabled).map(|value| value != 0),
            ss_flush_deadline: engine.global(Global::SsFlushDeadline),
            ss_capacity: engine.global(Global::SsCapacity),
            ss_max_sessions_per_packet: engine.global(Global::SsMaxSessionsPerPacket),
            sessions: engine.sessions(),
            kernel_counters: engine.synchronization().map(kernel_counters),
            multicast_address: config.netsocket.group.to_string(),
            multicast_port: config.netsocket.port,
            in_interface: config.netsocket.incoming.clone(),
            out_interface: config.netsocket.outgoing.clone(),
            receives_over: place.map(|place| place.incoming.summary()),
            sends_over: place.map(|place| place.outgoing.summary()),
            version: env!("CARGO_PKG_VERSION"),
            pid: process::id(),
            counters: counted(engine.counters()),
            lost: lost(engine.counters()),
            peers: engine.sync().map(peers).unwrap_or_default(),
        }
    }

    /// The document, on one line. Empty should it be none, which no value of it allows for.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn peers(sync: &Sync) -> Vec<PeerStatus> {
    let age = |heard| sync.now().saturating_duration_since(heard).as_millis() as u64;
    let own = sync.peers().iter().map(|peer| PeerStatus {
        address: peer.source.to_string(),
        kind: PeerKind::Joold,
        node_id: Some(format!("{:08x}", peer.node)),
        age_ms: age(peer.heard),
        standing: peer.standing(),
        lost: peer.lost,
        repaired: peer.repaired,
        lag: peer.received.lacking().into(),
    });
    let strangers = sync.strangers().iter().map(|stranger| PeerStatus {
        address: stranger.source.to_string(),
        kind: PeerKind::Upstream,
        node_id: None,
        age_ms: age(stranger.heard),
        standing: None,
        lost: 0,
        repaired: 0,
        lag: 0,
    });
    own.chain(strangers).collect()
}

/// What the kernel has counted of the synchronization.
pub fn kernel_counters(counted: Synchronization) -> [Count; 8] {
    [
        Count::total(
            "kernel_updates_queued",
            "updates for the queue",
            counted.queued,
        )
        .meaning("updates of sessions that packets made in the kernel, for its queue"),
        Count::total(
            "kernel_updates_dropped",
            "of those, dropped: queue full",
            counted.queue_full,
        )
        .meaning("updates of sessions that the kernel dropped since its queue was full"),
        Count::total("kernel_sessions_sent", "sessions to joold", counted.sent)
            .meaning("sessions that the kernel sent to joold"),
        Count::total("kernel_batches_sent", "batches to joold", counted.batches)
            .meaning("batches that the kernel sent to joold"),
        Count::total("kernel_advertises", "advertises", counted.advertises)
            .meaning("how often the kernel began to tell its whole table"),
        Count::total(
            "kernel_acknowledgements",
            "acknowledgements from joold",
            counted.acknowledgements,
        )
        .meaning("acknowledgements of batches that the kernel got"),
        Count::total(
            "kernel_sessions_received",
            "sessions from joold",
            counted.received,
        )
        .meaning("sessions that the kernel got from joold, added or not"),
        Count::total(
            "kernel_requests_received",
            "requests from joold",
            counted.requests,
        )
        .meaning("requests with sessions that the kernel got from joold"),
    ]
}

fn counted(counters: &Counters) -> Vec<Count> {
    let mut counts = counters.counts();
    let lines = logging::lost().lines();
    counts.push(
        Count::total("log_lines_lost", "log lines lost", lines)
            .meaning("log lines that neither syslog nor standard error took"),
    );
    counts
}

fn lost(counters: &Counters) -> Vec<(Reason, u64)> {
    let all = Reason::ALL.iter();
    all.map(|&reason| (reason, counters.lost(reason))).collect()
}

/// Numbers as one object, in their order.
pub fn by_words<S: Serializer>(counts: &[Count], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|count| (count.words, count.value)))
}

/// The same, or null.
pub fn by_words_if_known<S: Serializer>(
    counts: &Option<[Count; 8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match counts {
        Some(counts) => by_words(counts, serializer),
        None => serializer.serialize_none(),
    }
}

fn what_happened<S: Serializer>(lost: &[(Reason, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let happened = lost.iter().filter(|(_, times)| *times > 0);
    serializer.collect_map(happened.map(|(reason, times)| (reason.name(), times)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, ModsocketConfig, NetsocketConfig, Surroundings};
    use serde_json::{Value, json};
    use std::time::Instant;

    fn config() -> Config {
        let document = |text: &str| Document::parse("file.json".to_owned(), text.as_bytes());
        let network = r#"{"multicast address": "ff08::db8:64:64", "multicast port": 6464,
            "in interface": "eth0"}"#;
        let surroundings = Surroundings { host: |_| None };
        let netsocket = document(network)
            .and_then(|document| NetsocketConfig::from_document(document, &surroundings));
        let modsocket = document("{}").and_then(ModsocketConfig::from_document);
        Config {
            netsocket: netsocket.unwrap().0,
            modsocket: modsocket.unwrap().0,
            stats: None,
        }
    }

    fn told(engine: &Engine) -> Value {
        serde_json::from_str(&Status::of(&config(), engine, None).to_json()).unwrap()
    }

    #[test]
    fn what_is_not_known_is_null_and_what_is_lost_has_its_reasons_name() {
        let now = Instant::now();
        let mut engine = Engine::new(config().modsocket.instance, now);
        engine.lose_several(now, Reason::NotSent, 3, String::new);
        let told = told(&engine);
        assert_eq!(told["standing"], "without kernel");
        assert_eq!(told["may take over"], false);
        for key in [
            "module version",
            "ss-enabled",
            "out interface",
            "sessions",
            "kernel counters",
            "receives over",
        ] {
            assert_eq!(told.get(key), Some(&Value::Null), "{key}");
        }
        assert_eq!(told["in interface"], "eth0");
        assert_eq!(told["lost"], json!({ Reason::NotSent.name(): 3 }));
        assert_eq!(told["counters"]["datagrams to the network"], 0);
        assert_eq!(told["peers"], json!([]));
    }

    #[test]
    fn a_peer_tells_its_kind_and_standing_in_words() {
        let peer = PeerStatus {
            address: "2001:db8::2".to_owned(),
            kind: PeerKind::Upstream,
            node_id: None,
            age_ms: 7,
            standing: Some(Standing::InSync),
            lost: 2,
            repaired: 1,
            lag: 1,
        };
        let told = serde_json::to_value(peer).unwrap();
        assert_eq!(
            (&told["kind"], &told["standing"]),
            (&json!("upstream"), &json!("in sync"))
        );
        assert_eq!(told["age ms"], 7);
    }
}
