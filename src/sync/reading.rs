//! How far the table of another node has been read.
//!
//! Tables are read by asking: some parts from a place on, and when those have come, some more. Whoever
//! gives them remembers nothing, a slow link or reader sets the pace, and parts that somebody else asked
//! for serve as well.

use crate::wire::extension::{Report, Stretch};
use crate::wire::page::Key;
use crate::wire::session::Protocol;

/// Behind which session of which protocol a reading goes on; at the protocol's first if none.
pub type Place = (Protocol, Option<Key>);

/// Where every reading begins.
pub const START: Place = (Protocol::ALL[0], None);

/// A table that is being read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What the node had sent when this began: its table has all of that.
    pub number: u32,
    /// How many holes it had then.
    pub holes: u32,
    /// What it had of others then.
    pub reports: Vec<Report>,
    /// Which sessions come next: those of that protocol,
    pub protocol: Protocol,
    /// behind that place.
    pub after: Option<Key>,
    /// How many parts have come since some were asked for.
    pub parts: u32,
    /// How many sessions have come in all.
    pub sessions: u64,
    /// Whether something is in the table by now that may not be in what was read of it. It goes on, for its
    /// sessions are worth something, but the next one counts.
    pub is_outdated: bool,
}

/// What becomes of a reading by a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more.
    More,
    /// That was the end.
    Done,
}

impl Reading {
    /// From the first session on.
    pub fn new(number: u32, holes: u32, reports: Vec<Report>) -> Self {
        Self {
            number,
            holes,
            reports,
            protocol: START.0,
            after: START.1,
            parts: 0,
            sessions: 0,
            is_outdated: false,
        }
    }

    /// Where it goes on.
    pub fn place(&self) -> Place {
        (self.protocol, self.after)
    }

    /// Whether it goes on where its table has to be asked for anew: at the start of the last protocol.
    pub fn is_at_the_last(&self) -> bool {
        self.after.is_none() && following(self.protocol).is_none()
    }

    /// Whether a part is where a reading begins.
    pub fn begins_with(stretch: &Stretch) -> bool {
        (stretch.protocol, stretch.after) == START
    }

    /// Whether a part goes on from here.
    pub fn wants(&self, stretch: &Stretch) -> bool {
        stretch.holes == self.holes as u8
            && stretch.protocol == self.protocol
            && stretch.after <= self.after
            && stretch.last.is_none_or(|last| Some(last) > self.after)
    }

    /// A part that was wanted has been taken.
    pub fn took(&mut self, stretch: &Stretch, sessions: usize) -> Progress {
        self.parts += 1;
        self.sessions += sessions as u64;
        self.after = stretch.last;
        if stretch.last.is_some() {
            return Progress::More;
        }
        match following(self.protocol) {
            Some(protocol) => {
                self.protocol = protocol;
                Progress::More
            }
            None => Progress::Done,
        }
    }
}

/// Tables have one protocol's sessions after the other's.
pub fn following(protocol: Protocol) -> Option<Protocol> {
    let mut rest = Protocol::ALL.into_iter();
    rest.find(|&candidate| candidate == protocol)?;
    rest.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key::from_bytes(&[number; 12])
    }

    fn stretch(protocol: Protocol, after: Option<u8>, last: Option<u8>) -> Stretch {
        Stretch {
            protocol,
            after: after.map(key),
            last: last.map(key),
            holes: 0,
        }
    }

    #[test]
    fn a_table_is_read_part_by_part_and_protocol_by_protocol() {
        let mut reading = Reading::new(7, 0, Vec::new());
        let parts = [
            (Protocol::Tcp, None, Some(5)),
            (Protocol::Tcp, Some(5), None),
            (Protocol::Udp, None, None),
            (Protocol::Icmp, None, Some(1)),
        ];
        for (protocol, after, last) in parts {
            let part = stretch(protocol, after, last);
            assert!(reading.wants(&part));
            assert_eq!(reading.took(&part, 3), Progress::More);
            assert!(!reading.wants(&part), "once is enough");
        }
        let end = stretch(Protocol::Icmp, Some(1), None);
        assert_eq!(reading.took(&end, 0), Progress::Done);
        assert_eq!((reading.parts, reading.sessions), (5, 12));
    }

    #[test]
    fn at_the_last_protocol_a_table_has_to_be_asked_for_anew() {
        let mut reading = Reading::new(7, 0, Vec::new());
        let mut are_last = vec![reading.is_at_the_last()];
        let (tcp, udp, icmp) = (Protocol::Tcp, Protocol::Udp, Protocol::Icmp);
        for (protocol, last) in [(tcp, None), (udp, None), (icmp, Some(1))] {
            reading.took(&stretch(protocol, None, last), 3);
            are_last.push(reading.is_at_the_last());
        }
        assert_eq!(are_last, [false, false, true, false]);
    }

    #[test]
    fn a_part_behind_one_that_has_not_come_is_not_wanted() {
        let mut reading = Reading::new(7, 0, Vec::new());
        reading.took(&stretch(Protocol::Tcp, None, Some(5)), 1);
        assert!(!reading.wants(&stretch(Protocol::Tcp, Some(6), Some(9))));
        assert!(!reading.wants(&stretch(Protocol::Udp, None, None)));
    }

    #[test]
    fn a_part_that_begins_earlier_and_ends_later_is_wanted() {
        let mut reading = Reading::new(7, 0, Vec::new());
        reading.took(&stretch(Protocol::Tcp, None, Some(5)), 1);
        assert!(reading.wants(&stretch(Protocol::Tcp, Some(3), Some(9))));
        assert!(reading.wants(&stretch(Protocol::Tcp, None, None)));
        assert!(!reading.wants(&stretch(Protocol::Tcp, None, Some(4))));
    }

    #[test]
    fn a_part_of_the_table_before_or_after_a_hole_is_not_wanted() {
        let reading = Reading::new(7, 0, Vec::new());
        let part = stretch(Protocol::Tcp, None, Some(5));
        assert!(reading.wants(&part));
        assert!(!reading.wants(&Stretch { holes: 1, ..part }));
    }
}
