//! What joold's daemons told, and what of that others know to be told: for the checks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use joold::wire::extension::{Ask, Datagram, Header, Hello, Kind, Pull, TableHeader};
use joold::wire::session::{Format, sessions};

use crate::sessions::{Id, id_of, is_certain};

/// A session in a datagram, and when it dies if nothing more is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which session.
    pub id: Id,
    /// Since the start of the run.
    pub dies: Duration,
    /// When it was told.
    pub when: Duration,
    /// Whether the copy tells when it was used last.
    pub is_certain: bool,
}

/// All numbered datagrams, by the number of their node and their own.
#[derive(Clone, Debug, Default)]
pub struct Archive(BTreeMap<(u32, u32), Vec<Told>>);

impl Archive {
    /// A datagram was sent.
    pub fn add(&mut self, now: Duration, bytes: &[u8]) {
        let Datagram::Numbered(length, header) = Datagram::of(bytes) else {
            return;
        };
        let told = sessions(&bytes[..length], Format::Flat).map_while(Result::ok);
        let told = told.filter_map(|session| {
            let dies = now + Duration::from_millis(session.expiration.into());
            let id = id_of(&session)?;
            let is_certain = is_certain(&session);
            Some(Told {
                id,
                dies,
                when: now,
                is_certain,
            })
        });
        self.0.insert((header.node, header.number), told.collect());
    }

    /// What a node told from one number to another.
    pub fn told(&self, node: u32, first: u32, last: u32) -> impl Iterator<Item = (u32, Told)> + '_ {
        let range = (node, first)..=(node, last.max(first.saturating_sub(1)));
        let datagrams = (first <= last).then(|| self.0.range(range));
        datagrams
            .into_iter()
            .flatten()
            .flat_map(|(&(_, number), told)| told.iter().map(move |&told| (number, told)))
    }
}

/// What one node heard of another.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it had sent when it was first heard of.
    base: u32,
    /// Everything up to there was looked at.
    pub checked: u32,
    /// What was announced, and when, from the oldest that is less than some time ago.
    recent: VecDeque<(Duration, u32)>,
    /// The latest of those that were before.
    announced: u32,
    /// For which instance of the hearer's kernel that is.
    generation: u32,
}

impl Heard {
    /// It was heard of for the first time, by that.
    pub fn first(header: Header, generation: u32) -> Self {
        let base = match header.kind {
            Kind::Sessions => header.number.saturating_sub(1),
            _ => header.number,
        };
        Self {
            base,
            checked: base,
            recent: VecDeque::new(),
            announced: base,
            generation,
        }
    }

    /// A datagram came.
    pub fn heard(&mut self, now: Duration, header: Header) {
        self.recent.push_back((now, header.number));
    }

    /// Which numbers were announced before `then` and not looked at yet: the first and the last.
    pub fn open(&mut self, then: Duration, generation: u32) -> (u32, u32) {
        if self.generation != generation {
            (self.generation, self.checked) = (generation, self.base);
        }
        while let Some(&(_, number)) = self.recent.front().filter(|(when, _)| *when < then) {
            self.announced = self.announced.max(number);
            self.recent.pop_front();
        }
        (self.checked + 1, self.announced)
    }
}

/// The header of a datagram, whatever it is.
pub fn header_of(bytes: &[u8]) -> Option<Header> {
    match Datagram::of(bytes) {
        Datagram::Numbered(_, header) | Datagram::Message(header) => Some(header),
        Datagram::Plain | Datagram::Unknown(_) => None,
    }
}

/// What a datagram is, in words.
pub fn words(bytes: &[u8]) -> String {
    let list = |bytes: &[u8]| {
        let all = sessions(bytes, Format::Flat).map_while(Result::ok);
        let words = all.map(|session| {
            let id = id_of(&session).map_or("?".to_owned(), |id| id.to_string());
            let (state, left) = (session.state, session.expiration);
            format!("{id}:{state:?}/{left}")
        });
        words.collect::<Vec<_>>().join(" ")
    };
    match Datagram::of(bytes) {
        Datagram::Plain => format!("plain: {}", list(bytes)),
        Datagram::Unknown(length) => format!("unknown behind {length} bytes"),
        Datagram::Numbered(length, header) => {
            let (node, number) = (header.node, header.number);
            format!("{node:08x}#{number}: {}", list(&bytes[..length]))
        }
        Datagram::Message(header) => {
            let (node, number, kind) = (header.node, header.number, header.kind);
            let contents = match kind {
                Kind::Hello => hello(bytes),
                Kind::Ask => ask(bytes),
                Kind::Pull => pull(bytes),
                Kind::Repeat => list(bytes.get(Header::SIZE..).unwrap_or_default()),
                Kind::Table => list(bytes.get(TableHeader::SIZE..).unwrap_or_default()),
                Kind::Sessions => String::new(),
            };
            format!("{node:08x}#{number} {kind:?} {contents}")
        }
    }
}

fn hello(message: &[u8]) -> String {
    let Ok((hello, reports)) = Hello::read(message) else {
        return "malformed".to_owned();
    };
    let Hello {
        standing,
        oldest,
        holes,
        ..
    } = hello;
    let reports = reports.iter();
    let has: Vec<_> = reports
        .map(|one| format!("{:08x}#{}/{}", one.node, one.number, one.holes))
        .collect();
    let has = has.join(" ");
    format!("standing {standing}, oldest {oldest}, holes {holes}, has {has}")
}

fn ask(message: &[u8]) -> String {
    let Ok(ask) = Ask::read(message) else {
        return "malformed".to_owned();
    };
    let ranges: Vec<_> = ask.ranges.iter().collect();
    format!("of {:08x}: {ranges:?}", ask.of)
}

fn pull(message: &[u8]) -> String {
    let Ok(pull) = Pull::read(message) else {
        return "malformed".to_owned();
    };
    let after = pull.after.map(|key| (key.source4, key.destination4));
    format!("of {:08x}: {:?} after {after:?}", pull.of, pull.protocol)
}
