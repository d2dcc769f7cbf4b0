//! What the peers know of each session, and what they should.

use std::collections::HashMap;

use joold::engine::Limits;
use joold::wire::netlink::Attribute;
use joold::wire::session::{Format, Session};
use joold::wire::update::Update;

/// What tells sessions apart: all of the flat format but state, timer and expiration, and what the
/// nested one has besides.
type Key = ([u8; 36], Option<[u8; 18]>);

/// One update, as a batch or a datagram has it.
#[derive(Clone, Copy, Debug)]
struct Told {
    key: Key,
    /// TCP state and timer.
    stage: u8,
    expiration: u32,
}

/// What was said of a session, and when.
#[derive(Clone, Copy, Debug)]
struct Known {
    stage: u8,
    expiration: u32,
    at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Knowledge {
    /// By the kernel.
    reported: Known,
    /// To the peers.
    told: Known,
    /// Whether the peers lack what was reported last.
    behind: bool,
}

/// The sessions of a run. Times are milliseconds.
#[derive(Debug, Default)]
pub struct Peers {
    sessions: HashMap<Key, Knowledge>,
    /// 0 if nothing is ever held.
    window: u64,
}

impl Peers {
    /// None yet.
    pub fn new(limits: Option<Limits>) -> Self {
        Self {
            sessions: HashMap::new(),
            window: limits.map_or(0, |limits| limits.window.into()),
        }
    }

    /// Another module has other sessions.
    pub fn forget(&mut self) {
        self.sessions.clear();
    }

    /// The kernel reported the sessions of `all`, and `passed` went to the peers. Returns how many
    /// of them were held back.
    pub fn batch(&mut self, now: u64, format: Format, all: &[u8], passed: &[u8]) -> u64 {
        let mut rest = passed.chunks(format.size()).peekable();
        let (mut keys, mut withheld) = (Vec::new(), 0);
        for one in all.chunks(format.size()) {
            let passes = rest.next_if_eq(&one).is_some();
            match read(one, format) {
                Some(update) => {
                    self.report(now, update, passes);
                    keys.push(update.key);
                }
                None => assert!(passes, "what is not understood passes"),
            }
            withheld += u64::from(!passes);
        }
        assert!(
            rest.next().is_none(),
            "what passes was in the batch, in that order"
        );
        for key in keys {
            self.check(now, &self.sessions[&key]);
        }
        withheld
    }

    fn report(&mut self, now: u64, update: Told, passes: bool) {
        let known = Known {
            stage: update.stage,
            expiration: update.expiration,
            at: now,
        };
        let new = Knowledge {
            reported: known,
            told: known,
            behind: false,
        };
        if passes {
            self.sessions.insert(update.key, new);
            return;
        }
        let knowledge = self.sessions.get_mut(&update.key);
        let knowledge = knowledge.expect("the first update of a session passes");
        knowledge.reported = known;
        knowledge.behind = true;
    }

    /// At the end of a batch.
    fn check(&self, now: u64, session: &Knowledge) {
        let Knowledge {
            reported,
            told,
            behind,
        } = session;
        assert_eq!(reported.stage, told.stage, "a new stage is told at once");
        if *behind {
            assert!(now < told.at + self.window, "held for less than a window");
            let end = told.at + u64::from(told.expiration);
            assert!(
                now + 2 * self.window < end,
                "the peers' entry outlives what is held"
            );
        }
    }

    /// Updates that were held go to the peers now.
    pub fn written(&mut self, now: u64, format: Format, row: &[u8]) {
        for one in row.chunks(format.size()) {
            let update = read(one, format).expect("an update that reads back");
            let knowledge = self.sessions.get_mut(&update.key);
            let knowledge = knowledge.expect("only what was reported is told");
            let reported = knowledge.reported;
            assert!(knowledge.behind, "told twice");
            let elapsed = u32::try_from(now - reported.at).unwrap_or(u32::MAX);
            let left = reported.expiration.saturating_sub(elapsed).max(1);
            assert_eq!((update.stage, update.expiration), (reported.stage, left));
            knowledge.behind = false;
            knowledge.told = Known {
                stage: update.stage,
                expiration: update.expiration,
                at: now,
            };
        }
    }

    /// How many sessions the peers know less of than the kernel told.
    pub fn behind(&self) -> u64 {
        let behind = self.sessions.values().filter(|session| session.behind);
        behind.count() as u64
    }

    /// Once all that was due is written, nobody waits for a window or more.
    pub fn check_due(&self, now: u64) {
        for session in self.sessions.values().filter(|session| session.behind) {
            assert!(now < session.told.at + self.window);
        }
    }
}

/// Nothing unless it is to the letter what a module writes.
fn read(attribute: &[u8], format: Format) -> Option<Told> {
    const EXPIRATION: usize = 24;
    const BITS: usize = 35;
    const STAGE: u8 = 0b11111;
    let update = Update::read(attribute, format)?;
    let value = &attribute[Attribute::HEADER..];
    let mut key: [u8; 36] = match format {
        Format::Flat => value.try_into().ok()?,
        Format::Nested => Session::parse(value, format).ok()?.to_flat(),
    };
    let stage = key[BITS] & STAGE;
    key[BITS] &= !STAGE;
    key[EXPIRATION..EXPIRATION + 4].fill(0);
    Some(Told {
        key: (key, update.destination6),
        stage,
        expiration: update.expiration,
    })
}
