//! Numbers as pairs of a name and a value: as lines, and as comma-separated values.
//!
//! Other routers come and go, and are left out: there would be other names each time.

use super::{Status, singles};

/// A name, and a value if there is one at the moment.
type Pair = (String, Option<u64>);

/// What upstream's stats server tells, and its names here.
pub(super) const UPSTREAMS: [(&str, &str); 6] = [
    ("KERNEL_SENT_PKTS", "batches_from_kernel"),
    ("KERNEL_SENT_BYTES", "bytes_from_kernel"),
    ("NET_RCVD_PKTS", "datagrams_from_network"),
    ("NET_RCVD_BYTES", "bytes_from_network"),
    ("NET_SENT_PKTS", "datagrams_to_network"),
    ("NET_SENT_BYTES", "bytes_to_network"),
];

fn pairs(status: &Status) -> Vec<Pair> {
    let singles = singles(status).into_iter();
    let mut pairs: Vec<Pair> = singles
        .map(|(count, is_known)| (count.name.to_owned(), is_known.then_some(count.value)))
        .collect();
    for (reason, times) in &status.lost {
        pairs.push((format!("lost_{}", reason.id()), Some(*times)));
    }
    pairs
}

pub(super) fn lines(status: &Status) -> String {
    let known = pairs(status)
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect()
}

pub(super) fn csv(status: &Status) -> String {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    let mut pairs = pairs(status);
    for (upstreams, name) in UPSTREAMS {
        let at = pairs.iter().position(|(one, _)| one == name);
        let value = at.and_then(|at| pairs.remove(at).1);
        names.push(upstreams.to_owned());
        values.push(shown(value));
    }
    names.extend(["instance", "standing"].map(str::to_owned));
    values.extend([field(&status.instance), field(status.standing.words())]);
    for (name, value) in pairs {
        names.push(name);
        values.push(shown(value));
    }
    format!("{}\n{}\n", names.join(","), values.join(","))
}

fn shown(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A text, in quotation marks where it needs them.
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
