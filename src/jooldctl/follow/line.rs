//! How an update of a session is printed.

use serde::Serialize;

use crate::ctlsocket::{Directions, Frame};
use crate::wire::session::{Protocol, Session};

/// As `jool session follow` prints it. Where both directions are followed, its own stands in front.
pub(super) fn plain(frame: &Frame, session: &Session, followed: Directions) -> String {
    let line = format!(
        "{},{},{},{},{},{},{},{}\n",
        session.protocol.name(),
        session.source6.0,
        session.source6.1,
        session.source4.ip(),
        session.source4.port(),
        session.destination4.ip(),
        session.destination4.port(),
        lifetime(session.expiration)
    );
    match followed {
        Directions::Both => format!("{},{line}", frame.direction.name()),
        Directions::Out | Directions::In => line,
    }
}

/// Hours, minutes and seconds; milliseconds only if there are any.
fn lifetime(milliseconds: u32) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, hours) = (seconds / 60 % 60, seconds / 3600);
    let whole = format!("{hours}:{minutes:02}:{:02}", seconds % 60);
    match rest {
        0 => whole,
        _ => format!("{whole}.{rest:03}"),
    }
}

/// The members of a JSON document.
#[derive(Serialize)]
struct Document {
    /// Seconds since 1970.
    time: f64,
    direction: &'static str,
    protocol: &'static str,
    ipv6_source: String,
    ipv6_source_port: u16,
    ipv4_source: String,
    ipv4_source_port: u16,
    ipv4_destination: String,
    ipv4_destination_port: u16,
    /// TCP's.
    state: Option<&'static str>,
    expires_ms: u32,
}

/// As one JSON document, a line.
pub(super) fn json(frame: &Frame, session: &Session) -> String {
    let document = Document {
        time: frame.time as f64 / 1000.0,
        direction: frame.direction.name(),
        protocol: session.protocol.name(),
        ipv6_source: session.source6.0.to_string(),
        ipv6_source_port: session.source6.1,
        ipv4_source: session.source4.ip().to_string(),
        ipv4_source_port: session.source4.port(),
        ipv4_destination: session.destination4.ip().to_string(),
        ipv4_destination_port: session.destination4.port(),
        state: (session.protocol == Protocol::Tcp).then(|| session.state.name()),
        expires_ms: session.expiration,
    };
    // It has nothing that JSON could not have.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}
