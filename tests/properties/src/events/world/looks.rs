//! Looks at the instance, and what another module or another file means for them.

use std::io;

use joold::engine::Reason;
use joold::wire::globals::{Global, Values};
use joold::wire::instance::Refusal;
use joold::wire::jool::{InstanceName, Version};

use super::{FLUSHES, World};
use crate::FAMILY;
use crate::events::instance::setting;
use crate::events::known::{FORBIDDEN, Known, MISSING};
use crate::events::material::{INSTANCES, VERSIONS};

/// How often the instance is looked at because of one event, and looked for before that.
const LOOKS: u32 = 2;
const SEARCHES: u32 = 1;

/// The errno of a socket whose family is not there.
const NO_FAMILY: i32 = 2;

impl World {
    /// The instance is looked at if that is due, and changed if it is not as it should be.
    pub(super) fn look(&mut self) {
        let now = self.time();
        let (mut looks, mut searches) = (0, 0);
        while self.engine.look_due().is_some_and(|due| due <= now) {
            match self.known.is_missing() {
                true => searches += 1,
                false => looks += 1,
            }
            assert!(looks <= LOOKS && searches <= SEARCHES);
            self.look_once();
        }
    }

    /// One look, which is due.
    pub(super) fn look_once(&mut self) {
        let now = self.time();
        assert!(self.engine.has_module() && !self.is_foreign());
        self.known.check(self.time(), &self.engine);
        if self.engine.looks_for_instance() {
            match self.instance.is_there() {
                Ok(Ok(is_there)) => {
                    self.known.looked_for(now, is_there);
                    self.engine.instance_looked_for(now, is_there);
                    let is_ours = self.engine.address().instance == self.name;
                    assert!(is_there || is_ours, "what is gone is asked for");
                }
                Ok(Err(refusal)) => self.refused(&refusal),
                Err(error) => self.look_failed(&error),
            }
        } else {
            match self.instance.look(self.engine.wants_pool4(now)) {
                Ok(Ok(state)) => {
                    let changes = self.known.learn(now, &state);
                    assert_eq!(self.engine.instance_seen(now, state), changes);
                    if !changes.is_empty() {
                        self.change(&changes);
                    }
                    self.acknowledge_first();
                }
                Ok(Err(refusal)) => self.refused(&refusal),
                Err(error) => self.look_failed(&error),
            }
        }
        self.known.check(self.time(), &self.engine);
    }

    fn acknowledge_first(&mut self) {
        let now = self.time();
        let owes = self.known.owes_acknowledgement(now);
        assert_eq!(self.engine.owes_first_acknowledgement(now), owes);
        if owes {
            self.flushes = FLUSHES;
            let is_due = self.engine.flush_due().is_some();
            assert_eq!(is_due, self.known.wants_flushes());
            self.acknowledge(2);
            // A new one is known by counting less than is seen now.
            assert_eq!(self.engine.look_due(), Some(now));
        }
    }

    fn refused(&mut self, refusal: &Refusal) {
        let now = self.time();
        let before = self.lost([Reason::NotPermitted, Reason::LookFailed]);
        self.engine.look_refused(now, refusal);
        let after = self.lost([Reason::NotPermitted, Reason::LookFailed]);
        let told = u64::from(self.known.refused(now, refusal.code));
        let told = match refusal.code {
            FORBIDDEN => [told, 0],
            _ => [0, told],
        };
        assert_eq!([after[0] - before[0], after[1] - before[1]], told);
        self.flushes = 0;
        assert_eq!(self.engine.flush_due(), None);
        if refusal.code == MISSING {
            assert_eq!(self.engine.address().instance, self.name);
        }
    }

    fn look_failed(&mut self, error: &io::Error) {
        let [before] = self.lost([Reason::LookFailed]);
        self.engine.look_failed(self.time(), error);
        self.known.failed(self.time());
        let [after] = self.lost([Reason::LookFailed]);
        let is_gone = error.raw_os_error() == Some(NO_FAMILY);
        assert_eq!(after - before, u64::from(!is_gone));
        assert!(!is_gone || self.engine.doubts_module());
    }

    fn change(&mut self, changes: &[(Global, u32)]) {
        let now = self.time();
        match self.instance.change(changes) {
            Ok(Ok(())) => {
                self.known.changed(changes);
                self.engine.instance_changed(changes);
            }
            Ok(Err(refusal)) => {
                let [before] = self.lost([Reason::SettingRefused]);
                self.known.change_refused(now);
                self.engine.change_refused(now, &refusal);
                assert_eq!(self.lost([Reason::SettingRefused]), [before + 1]);
            }
            Err(error) => self.look_failed(&error),
        }
    }

    fn lost<const N: usize>(&self, reasons: [Reason; N]) -> [u64; N] {
        reasons.map(|reason| self.engine.counters().lost(reason))
    }

    /// Whether the system told that the module speaks another language.
    pub(super) fn is_foreign(&self) -> bool {
        let speaks = |version: Version| version.speaks_with(Version::SUPPORTED);
        self.version.is_some_and(|version| !speaks(version))
    }

    pub(super) fn find_module(&mut self, kind: u8) {
        let (which, version) = (kind % 4, usize::from(kind >> 2) % 5);
        let family = FAMILY + u16::from(which / 2);
        let version = VERSIONS.get(version.wrapping_sub(1)).copied();
        match which {
            0 => {
                self.engine.module_missing();
                self.known.end();
                self.end_flushes();
                assert!(!self.engine.has_module());
            }
            _ => self.module_found(family, version),
        }
        assert!(!self.engine.doubts_module());
    }

    fn module_found(&mut self, family: u16, version: Option<Version>) {
        let now = self.time();
        // The number of a module may be that of the one before.
        let is_other = version.is_some() && self.version.is_some() && version != self.version;
        let is_news = !self.engine.has_module() || self.family != family || is_other;
        let [before] = self.lost([Reason::ForeignVersion]);
        self.engine.module_found(now, family, version);
        let [after] = self.lost([Reason::ForeignVersion]);
        assert!(self.engine.has_module());
        self.family = family;
        if is_news {
            self.version = None;
            self.end_flushes();
            match version {
                Some(version) if version.speaks_with(Version::SUPPORTED) => self.introduce(version),
                _ => self.version = version,
            }
            match self.is_foreign() {
                true => self.known.end(),
                false => self.known.begin(now),
            }
            assert!(self.engine.needs_preparation());
            assert_eq!(self.engine.address().instance, self.name);
        }
        assert_eq!(after - before, u64::from(is_news && self.is_foreign()));
    }

    fn end_flushes(&mut self) {
        self.flushes = 0;
        assert_eq!(self.engine.flush_due(), None);
    }

    /// The module file names another instance, or other globals.
    pub(super) fn reconfigure(&mut self, kind: u8, settings: u8) {
        let now = self.time();
        let name = INSTANCES[usize::from(kind) % 3];
        let name = InstanceName::new(name).expect("a name");
        let mut wanted = Values::default();
        for (bit, global) in Global::ALL.into_iter().enumerate() {
            if kind >> 4 & 1 << bit != 0 {
                wanted.set(global, setting(global, settings >> (2 * bit)));
            }
        }
        if name == self.name {
            self.engine.reconfigure(now, name, wanted);
            self.known.want(now, wanted);
            return;
        }
        self.forget_held();
        self.engine.reconfigure(now, name, wanted);
        self.name = name;
        self.known = Known::new(wanted);
        if self.engine.has_module() && !self.is_foreign() {
            self.known.begin(now);
        }
        self.end_flushes();
        assert_eq!(self.engine.address().instance, name);
        assert!(self.engine.needs_preparation());
    }

    /// What is held is for the peers of the instance before, or for nobody.
    fn forget_held(&mut self) {
        self.write_held();
        let held = self.engine.counters().held;
        let [before] = self.lost([Reason::HeldNotSent]);
        self.engine.forget_held(self.time());
        assert_eq!(self.lost([Reason::HeldNotSent]), [before + held]);
        assert_eq!((self.engine.counters().held, self.engine.due()), (0, None));
        self.given_up += held;
        self.peers.forget();
    }
}
