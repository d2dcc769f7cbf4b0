//! What came of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Something that shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// After a quiet time, all tables are equal.
    TablesAreEqual,
    /// The same of what no timer tells apart (see [`joold::wire::lifetime`]): incoming SYNs, of which a copy
    /// does not tell when it was used last; sessions that two routers used within a moment; connections
    /// that were reset and established again within one, or while a daemon was not run; those whose packets
    /// a router has missed for as long as they live. And of sessions that have ended, and of those whose
    /// router lost its table before all others had been told of them, or right after.
    UncertainAreEqual,
    /// Nothing that a daemon adds makes a session older.
    NothingGrowsOlder,
    /// The same of sessions that upstream's daemons told of, and of groups without a refresh window: there
    /// nobody remembers what he told, and compares what comes in order with it.
    NothingForgottenGrowsOlder,
    /// No copy claims to have been used when there was no packet.
    NoUseIsInvented,
    /// Who is in sync lacks nothing that was announced.
    InSyncLacksNothing,
    /// The same of incoming SYNs.
    InSyncLacksNothingUncertain,
    /// What is remembered has its bounds.
    MemoryIsBounded,
    /// What is said besides sessions has its bounds.
    TalkIsBounded,
    /// After a quiet time, everybody is in sync, or alone.
    AllAreInSync,
    /// Who was served has nothing due.
    NothingStaysDue,
}

impl Check {
    /// Whether it is known not to hold always, by the design.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::UncertainAreEqual
                | Self::InSyncLacksNothingUncertain
                | Self::NothingForgottenGrowsOlder
        )
    }
}

/// One of them does not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub check: Check,
    /// Since the start of the run.
    pub at: Duration,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (check, at) = (self.check, self.at.as_secs_f64());
        write!(f, "{check:?} at {at:.6} s: {}", self.text)
    }
}

/// The width of [`Report::older`]'s classes, in milliseconds.
pub const CLASS: i64 = 50;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first of each check.
    pub failures: Vec<Failure>,
    /// How often copies were replaced by ones that were older by so many [`CLASS`]es.
    pub older: BTreeMap<i64, u64>,
    /// How often copies were replaced.
    pub replaced: u64,
    /// The most hellos, asks and pulls of a router in a second.
    pub control: u32,
    /// The most repeats and parts of tables of a router in a second.
    pub bulk: u32,
    /// Packets, datagrams sent, sessions left out of the comparison of the tables.
    pub packets: u64,
    /// See [`Report::packets`].
    pub datagrams: u64,
    /// See [`Report::packets`].
    pub left_out: u64,
}

impl Report {
    /// A check failed.
    pub fn fail(&mut self, check: Check, at: Duration, text: impl FnOnce() -> String) {
        if self.failures.iter().all(|failure| failure.check != check) {
            let text = text();
            self.failures.push(Failure { check, at, text });
        }
    }

    /// Takes the counts of another run, but not its failures.
    pub fn add(&mut self, other: &Self) {
        for (class, count) in &other.older {
            *self.older.entry(*class).or_default() += count;
        }
        self.replaced += other.replaced;
        self.control = self.control.max(other.control);
        self.bulk = self.bulk.max(other.bulk);
        self.packets += other.packets;
        self.datagrams += other.datagrams;
        self.left_out += other.left_out;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} packets, {} datagrams, {} copies replaced; at most {} hellos, asks and pulls and {} \
             repeats and parts of a router in a second; {} sessions not compared",
            self.packets, self.datagrams, self.replaced, self.control, self.bulk, self.left_out
        )?;
        write!(f, "copies replaced by older ones:")?;
        for (class, count) in &self.older {
            write!(f, " {}+ ms: {count};", class * CLASS)?;
        }
        Ok(())
    }
}
