//! The kernel module and the served instance: what is known of them, and what they are owed.

use std::io;
use std::time::Instant;

use super::{Engine, Event, Module, Packets, Reason, Spelling, quoted};
use crate::wire::globals::Global;
use crate::wire::instance::{Refusal, Snapshot};
use crate::wire::jool::{Command, Version};
use crate::wire::request::{Address, Repeated};
use crate::wire::statistics::{Statistics, Synchronization};

impl Engine {
    /// The module is there; `family` is the type of its messages, `version` its own if the system
    /// tells. If that is news, whatever was known of an earlier one is forgotten.
    pub fn module_found(&mut self, now: Instant, family: u16, version: Option<Version>) {
        self.doubts_module = false;
        // Some kernels give a module that was loaded again the number of the one before.
        let is_other = version.is_some() && self.version.is_some() && version != self.version;
        if self.module == Module::Loaded && self.address.family == family && !is_other {
            return;
        }
        self.module = Module::Loaded;
        self.version = None;
        self.heard = false;
        self.spelling = Spelling::Unknown;
        self.address.family = family;
        self.address.instance = self.configured;
        self.pace.rest();
        self.packets = Packets::default();
        self.flush.end();
        self.watch.begin(now);
        self.journal.note(Event::ModuleLoaded(version));
        match version {
            Some(version) if version.speaks_with(Version::SUPPORTED) => self.adopt(now, version),
            Some(version) => {
                // It would refuse each request.
                self.version = Some(version);
                self.watch.end();
                self.foreign_version(now, version);
            }
            None => (),
        }
        self.readdress();
    }

    /// Whether the system says that the module speaks another language.
    pub(super) fn is_foreign(&self) -> bool {
        let ours = self.address.version;
        self.version.is_some_and(|theirs| !theirs.speaks_with(ours))
    }

    /// The module speaks another language.
    pub(super) fn foreign_version(&mut self, now: Instant, theirs: Version) {
        let ours = self.address.version;
        self.lose(now, Reason::ForeignVersion, || {
            format!(
                "the module is Jool {theirs}, this joold speaks {}.{}",
                ours.major, ours.minor
            )
        });
    }

    /// The module is not loaded (any more).
    pub fn module_missing(&mut self) {
        self.doubts_module = false;
        match self.module {
            Module::Missing => return,
            Module::Unknown => self.journal.note(Event::ModuleMissing),
            Module::Loaded => self.journal.note(Event::ModuleUnloaded),
        }
        self.module = Module::Missing;
        self.pace.rest();
        self.flush.end();
        self.watch.end();
    }

    /// Whether there is a module to talk to.
    pub fn has_module(&self) -> bool {
        self.module == Module::Loaded
    }

    /// Whether the kernel answered as if the module were gone, or another one.
    pub fn doubts_module(&self) -> bool {
        self.doubts_module
    }

    /// Whom requests are for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The module's version, if it is there and that is known.
    pub fn module_version(&self) -> Option<Version> {
        self.version.filter(|_| self.has_module())
    }

    /// What one of the instance's globals is, if that is known.
    pub fn global(&self, global: Global) -> Option<u32> {
        self.watch.get(global)
    }

    /// How many sessions the instance had when it was looked at last, if it is there.
    pub fn sessions(&self) -> Option<u64> {
        self.watch.statistics().map(Statistics::sessions)
    }

    /// What the instance had counted of its synchronization then, if that is known of its version.
    pub fn synchronization(&self) -> Option<Synchronization> {
        let is_known = self.version.is_some_and(Version::has_known_statistics);
        let statistics = self.watch.statistics().filter(|_| is_known);
        statistics.map(Statistics::synchronization)
    }

    /// When the instance should be looked at.
    pub fn look_due(&self) -> Option<Instant> {
        self.watch.due()
    }

    /// The instance should be looked at, if that was not done a moment ago.
    pub fn look_soon(&mut self, now: Instant) {
        self.watch.hint(now);
    }

    /// Whether the instance should only be asked whether it is there.
    pub fn looks_for_instance(&self) -> bool {
        self.watch.is_missing()
    }

    /// It was asked that.
    pub fn instance_looked_for(&mut self, now: Instant, is_there: bool) {
        self.watch.looked_for(now, is_there);
        if !is_there {
            self.forget_spelling();
        }
    }

    /// Whether the instance should be asked for its pool4 as well.
    pub fn wants_pool4(&self, now: Instant) -> bool {
        self.watch.wants_pool4(now)
    }

    /// The instance was looked at. Returns which globals it should have instead, nothing if they
    /// are as they should be.
    pub fn instance_seen(&mut self, now: Instant, state: Snapshot) -> Vec<(Global, u32)> {
        self.journal.success(Reason::LookFailed);
        self.journal.success(Reason::NotPermitted);
        let version = self.version;
        let changes = self.watch.seen(now, state, version, &mut self.journal);
        let lost = self.watch.take_queue_lost();
        if lost > 0 {
            let detail = || format!("{lost} of them");
            self.lose_several(now, Reason::QueueFull, lost, detail);
        }
        self.follow_packets(now);
        // Before anything is said of what may be another instance's table by now.
        self.follow_sync(now);
        changes
    }

    /// Tells what a module without a queue has probably dropped. A busy one always does: a line for each
    /// time would be too many.
    fn follow_packets(&mut self, now: Instant) {
        let Some(full) = self.packets.take(now, self.watch.sessions()) else {
            return;
        };
        let reason = Reason::PacketFull;
        if full.are_first {
            let detail = || format!("{} so far", full.count);
            return self.lose_several(now, reason, full.count, detail);
        }
        self.counters.lose(reason, full.count);
        self.owe_table(now, reason);
    }

    /// It has those globals now.
    pub fn instance_changed(&mut self, changes: &[(Global, u32)]) {
        self.journal.success(Reason::SettingRefused);
        self.watch.changed(changes, &mut self.journal);
    }

    /// Whether the instance was found or configured since this was asked last, so that it is owed
    /// an acknowledgement: whoever served it before may have died without one.
    pub fn owes_first_acknowledgement(&mut self, now: Instant) -> bool {
        if !self.watch.take_fresh() {
            return false;
        }
        if self.watch.is_on() {
            self.flush
                .begin(now, self.watch.get(Global::SsFlushDeadline));
            // A new instance is known by counting less than before: this one is seen to have
            // counted the acknowledgement.
            self.watch.look_again(now);
        }
        self.watch.is_on()
    }

    /// The kernel refused to tell what the instance is like.
    pub fn look_refused(&mut self, now: Instant, refusal: &Refusal) {
        let words = || quoted(refusal.code, &refusal.text);
        self.flush.end();
        match refusal.code {
            libc::ESRCH => {
                self.watch.missing(now, words, &mut self.journal);
                self.forget_spelling();
            }
            _ if !self.watch.refused(now, refusal.code) => (),
            libc::EPERM => self.lose(now, Reason::NotPermitted, words),
            _ => self.lose(now, Reason::LookFailed, words),
        }
    }

    /// The instance is gone, and the next may be spelt as the file does.
    fn forget_spelling(&mut self) {
        if self.spelling == Spelling::Adopted {
            self.spelling = Spelling::Unknown;
            self.address.instance = self.configured;
            self.readdress();
        }
    }

    /// The kernel refused to change the instance's globals.
    pub fn change_refused(&mut self, now: Instant, refusal: &Refusal) {
        self.watch.change_refused(now);
        self.lose(now, Reason::SettingRefused, || {
            quoted(refusal.code, &refusal.text)
        });
    }

    /// The instance could not be looked at, or not be changed.
    pub fn look_failed(&mut self, now: Instant, error: &io::Error) {
        self.watch.postpone(now);
        match error.raw_os_error() {
            Some(libc::ENOENT) => self.doubts_module = true,
            _ => self.failed(now, Reason::LookFailed, error),
        }
    }

    /// When one more acknowledgement should make the kernel look at its queue.
    pub fn flush_due(&self) -> Option<Instant> {
        self.flush.due()
    }

    /// The request that does.
    pub fn flush(&self) -> &[u8] {
        self.acknowledgements.bytes(1)
    }

    /// It was sent, or could not be.
    pub fn flushed(&mut self, now: Instant) {
        self.flush
            .done(now, self.watch.get(Global::SsFlushDeadline));
    }

    /// The module has that version.
    pub(super) fn adopt(&mut self, now: Instant, version: Version) {
        if self.is_foreign() {
            // A batch came from the next module, which can be asked.
            self.watch.begin(now);
        }
        self.version = Some(version);
        if self.address.version == version {
            return;
        }
        let format = self.format();
        self.address.version = version;
        self.readdress();
        if self.format() != format {
            self.forget_refreshes(now);
        }
    }

    /// Another module writes sessions in another way, and has none of the old one's.
    fn forget_refreshes(&mut self, now: Instant) {
        let Some(refreshes) = &mut self.refreshes else {
            return;
        };
        let held = refreshes.clear();
        self.counters.follow(refreshes);
        if held > 0 {
            self.lose_several(now, Reason::OtherFormat, held as u64, || {
                format!("{held} of them")
            });
        }
    }

    pub(super) fn readdress(&mut self) {
        self.acknowledgements = Repeated::new(&self.address, Command::JooldAck);
        self.prepared = false;
    }
}
