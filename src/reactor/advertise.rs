//! An advertise on somebody's order: the kernel tells its whole table once more.

use std::time::Instant;

use super::Reactor;
use crate::engine::{Reason, quoted};
use crate::failure::{Exit, Failure, words};
use crate::wire::instance::Refusal;
use crate::wire::jool::Version;

impl Reactor {
    /// Has the kernel tell all of its sessions, as "jool session advertise" does. They come as its batches,
    /// as fast as they are fetched. Returns what is to be said.
    pub(super) fn advertise(&mut self, now: Instant) -> Result<String, Failure> {
        self.can_advertise().map_err(refused)?;
        let answered = self.instance.advertise(self.engine.address());
        // It may be gone, or be off.
        self.engine.look_soon(now);
        match answered {
            Ok(Ok(())) => {
                let told = "the kernel tells its whole table to the other routers";
                log::info!("asked over the control socket, {told}");
                Ok(told.to_owned())
            }
            Ok(Err(refusal)) => Err(of_kernel(&refusal)),
            Err(error) => Err(refused(format!(
                "the kernel could not be asked to tell its table: {}",
                words(&error)
            ))),
        }
    }

    /// # Errors
    /// Why nothing would come of it. The kernel would not say, or have a line in its log.
    fn can_advertise(&self) -> Result<(), String> {
        if !self.engine.has_module() {
            return Err("Jool's kernel module is not loaded: run \"modprobe jool\"".to_owned());
        }
        if self.engine.looks_for_instance() {
            let problem = "the instance is missing: create it with \"jool instance add\"";
            return Err(problem.to_owned());
        }
        match self.engine.module_version() {
            Some(version) if version < Version::QUEUE => Err(format!(
                "Jool {version} sends nothing when it is asked for its table: upgrade to {} or later; \
                 between routers with extensions, the others read it by themselves",
                Version::QUEUE
            )),
            _ => Ok(()),
        }
    }
}

fn refused(message: String) -> Failure {
    Failure {
        exit: Exit::System,
        message,
    }
}

fn of_kernel(refusal: &Refusal) -> Failure {
    let (advice, exit) = match refusal.code {
        libc::EPERM => (Reason::NotPermitted.advice(), Exit::Permission),
        _ => (
            "it tells one table at a time, and none while ss-enabled is false",
            Exit::System,
        ),
    };
    let words = quoted(refusal.code, &refusal.text);
    Failure {
        exit,
        message: format!("the kernel refused to tell its table: {words}; {advice}"),
    }
}
