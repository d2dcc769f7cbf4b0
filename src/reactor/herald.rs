//! What the service manager is told, and when.

use std::time::Instant;

use super::Reactor;
use crate::failure::Failure;
use crate::manager::Manager;
use crate::outlook::Outlook;

/// The service manager, if there is one, and what it was told.
pub(super) struct Herald {
    manager: Option<Manager>,
    /// How the daemon stood when that was told last.
    told: Option<Outlook>,
    /// What is wrong with the files since the last SIGHUP, which are not in effect therefore.
    complaint: Option<String>,
}

impl Herald {
    pub(super) fn new(manager: Option<Manager>) -> Self {
        Self {
            manager,
            told: None,
            complaint: None,
        }
    }

    /// When the manager should hear something, whatever else happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.manager.as_ref().and_then(Manager::deadline)
    }

    fn status(&self, outlook: &Outlook) -> String {
        match &self.complaint {
            Some(complaint) => {
                format!(
                    "{outlook}; the files are not in effect since they were read again: {complaint}"
                )
            }
            None => outlook.to_string(),
        }
    }
}

impl Reactor {
    fn outlook(&self) -> Outlook {
        let instance = self.running.config.modsocket.instance;
        Outlook::of(&self.engine, instance, self.links.pass())
    }

    /// Tells that the daemon does its work.
    pub(super) fn proclaim(&mut self, now: Instant) {
        let outlook = self.outlook();
        let status = self.herald.status(&outlook);
        if let Some(manager) = &mut self.herald.manager {
            manager.ready(now, &status);
            self.herald.told = Some(outlook);
        }
    }

    /// Tells that the files are being read again, until [`Reactor::proclaim`].
    pub(super) fn announce_reload(&mut self, now: Instant) {
        if let Some(manager) = &mut self.herald.manager {
            manager.reloading(now);
        }
    }

    /// Remembers how the files were found.
    pub(super) fn note_reload<T>(&mut self, outcome: &Result<T, Failure>) {
        self.herald.complaint = outcome.as_ref().err().map(ToString::to_string);
    }

    /// Tells that the daemon lives, when that is due, and how it stands, when that has changed.
    pub(super) fn keep_told(&mut self, now: Instant) {
        if self.herald.manager.is_none() {
            return;
        }
        let outlook = self.outlook();
        let news = (self.herald.told != Some(outlook)).then(|| self.herald.status(&outlook));
        if let Some(manager) = &mut self.herald.manager {
            if let Some(status) = news {
                manager.stand(now, status);
                self.herald.told = Some(outlook);
            }
            manager.elapse(now);
        }
    }

    /// Tells that the daemon ends.
    pub(super) fn take_leave(&mut self) {
        let signal = self.stopped_by.unwrap_or_default();
        if let Some(manager) = &mut self.herald.manager {
            manager.stopping(Instant::now(), &format!("stopping on {signal}"));
        }
    }
}
