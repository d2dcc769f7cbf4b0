//! The instance that the kernel tells of, as a script has it.

use std::io;
use std::net::Ipv4Addr;

use joold::wire::globals::{Global, Values};
use joold::wire::instance::{Refusal, Snapshot};
use joold::wire::netlink::{Attribute, Attributes, put_attribute};
use joold::wire::pool4::Pool4;

use super::known::{FORBIDDEN, MISSING};
use super::material::LIFETIMES;
use crate::pool4::{self, Entry};
use crate::script::Script;

/// What became of a request: see [`joold::instance::Answered`].
pub type Outcome<T> = io::Result<Result<T, Refusal>>;

/// How requests are answered.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Granted,
    /// The errno of the module's refusal.
    Refused(i32),
    /// The errno of the socket.
    Failed(i32),
}

impl Manner {
    fn answer<T>(self, granted: impl FnOnce() -> T) -> Outcome<T> {
        match self {
            Self::Granted => Ok(Ok(granted())),
            Self::Refused(code) => Ok(Err(Refusal {
                code,
                text: b"a test\nsays no".to_vec(),
            })),
            Self::Failed(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Without permission, in passing, and one that looks as if there were no module.
const REFUSALS: [i32; 4] = [MISSING, FORBIDDEN, 22, 2];
const FAILURES: [i32; 2] = [105, 2];

/// The number of the counter of acknowledgements, in 4.1.13.
const ACKNOWLEDGEMENTS: u16 = 82;

/// One that is there, or not.
#[derive(Debug)]
pub struct Instance {
    looks: Manner,
    changes: Manner,
    globals: Values,
    longest: u32,
    pool4: u8,
    acknowledgements: u64,
}

impl Instance {
    /// As `jool instance add` makes one.
    pub fn new() -> Self {
        let mut globals = Values::default();
        for (global, value) in Global::ALL.into_iter().zip([0, 2000, 512, 36]) {
            globals.set(global, Some(value));
        }
        Self {
            looks: Manner::Granted,
            changes: Manner::Granted,
            globals,
            longest: LIFETIMES[0],
            pool4: 0,
            acknowledgements: 0,
        }
    }

    /// Somebody does something to it.
    pub fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let (kind, value) = (script.byte()?, script.byte()?);
        let which = usize::from(value);
        match kind % 8 {
            0 => self.looks = Manner::Refused(REFUSALS[which % 4]),
            1 => self.looks = Manner::Failed(FAILURES[which % 2]),
            2 => self.looks = Manner::Granted,
            // It goes, and comes again.
            3 => *self = Self::new(),
            4 => {
                let global = Global::ALL[which % 4];
                self.globals.set(global, setting(global, value >> 2));
            }
            5 => self.longest = LIFETIMES[which % 8],
            6 => self.pool4 = value,
            _ => {
                self.changes = [
                    Manner::Granted,
                    Manner::Refused(REFUSALS[which % 4]),
                    Manner::Failed(FAILURES[which % 2]),
                ][which % 3];
            }
        }
        Some(())
    }

    /// It was acknowledged, if it is there.
    pub fn acknowledged(&mut self) {
        self.acknowledgements += 1;
    }

    /// Whoever asks is told this.
    pub fn look(&self, pool4: bool) -> Outcome<Snapshot> {
        self.looks.answer(|| self.snapshot(pool4))
    }

    /// Whoever asks only whether it is there is told this: that it is not is no refusal.
    pub fn is_there(&self) -> Outcome<bool> {
        match self.looks {
            Manner::Refused(MISSING) => Ok(Ok(false)),
            looks => looks.answer(|| true),
        }
    }

    /// Whoever wants to change it changes it.
    pub fn change(&mut self, changes: &[(Global, u32)]) -> Outcome<()> {
        let changed = self.changes.answer(|| ());
        if let Ok(Ok(())) = changed {
            for &(global, value) in changes {
                self.globals.set(global, Some(value));
            }
        }
        changed
    }

    /// From the answers of a module.
    fn snapshot(&self, pool4: bool) -> Snapshot {
        let mut answer = Vec::new();
        let timeouts = [1, 2, 2, 4].map(|part| self.longest / part);
        for (number, timeout) in (20..).zip(timeouts) {
            put_attribute(&mut answer, number, &timeout.to_ne_bytes());
        }
        for global in Global::ALL {
            if let Some(value) = self.globals.get(global) {
                global.put(value, &mut answer);
            }
        }
        let mut snapshot = Snapshot::default();
        for attribute in Attributes::new(&answer) {
            let attribute = attribute.expect("what was written");
            snapshot.globals.take(&attribute);
        }
        snapshot.statistics.take(&Attribute {
            number: ACKNOWLEDGEMENTS,
            value: &self.acknowledgements.to_ne_bytes(),
            offset: 0,
        });
        snapshot.pool4 = pool4.then(|| pool(self.pool4));
        snapshot
    }
}

/// A value that the global can have, or nothing for a module that does not know it.
pub fn setting(global: Global, kind: u8) -> Option<u32> {
    let values = match global {
        Global::SsEnabled => [0, 1, 1],
        Global::SsFlushDeadline => [20, 0, 2000],
        _ => [1, 10, 41],
    };
    values.get(usize::from(kind % 4)).copied()
}

/// All masks that the script's sessions have, half of them, those of TCP, whatever the router has, or
/// too many to be told.
fn pool(kind: u8) -> Pool4 {
    let (protocols, last) = match kind % 5 {
        0 => (0..3, u16::MAX),
        1 => (0..3, 61_032),
        2 => (0..1, u16::MAX),
        3 => (0..0, 0),
        _ => return Pool4::too_large(),
    };
    pool4::of(protocols.map(|protocol| Entry {
        protocol,
        prefix: (Ipv4Addr::new(192, 0, 2, 0), 31),
        ports: (61_001, last),
    }))
}
