//! SIGHUP, or `jooldctl reload`: both files are read again, and what they say now takes the place of what they said.
//!
//! All that can be wrong is found out before anything is changed. Sockets stay where that is
//! possible: only another group, port or interface needs a new one.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Instant;

use serde_json::Value;

use super::Reactor;
use crate::claim::Claim;
use crate::config::{Config, NetsocketConfig, Sources};
use crate::engine::Engine;
use crate::failure::{Failure, words};
use crate::netsocket;
use crate::report;

/// What the daemon was told, and where.
pub struct Running {
    /// Where it is read again.
    pub sources: Sources,
    /// What is in effect.
    pub config: Config,
    /// What keeps another daemon from the same.
    pub claim: Claim,
}

impl Reactor {
    /// Reads the files again. If anything is wrong with them, all is as before. What came of it is logged,
    /// and returned in the same words.
    pub(super) fn reload(&mut self, now: Instant) -> Result<String, Failure> {
        self.announce_reload(now);
        let told = match self.running.sources.has_files() {
            true => self.reload_files(now),
            false => {
                let told = "there are no files to read again; the command line stays in effect";
                log::info!("{told}");
                Ok(told.to_owned())
            }
        };
        self.proclaim(now);
        told
    }

    fn reload_files(&mut self, now: Instant) -> Result<String, Failure> {
        let outcome = self.try_to_reload(now);
        self.note_reload(&outcome);
        match outcome {
            Ok((changes, warnings)) => {
                for warning in &warnings {
                    log::warn!("{warning}");
                }
                let changes = match (changes.is_empty(), warnings.is_empty()) {
                    (true, true) => "they say what they said before".to_owned(),
                    // They may say something else that has to wait.
                    (true, false) => "nothing was changed".to_owned(),
                    (false, _) => changes.join(", "),
                };
                let mut told = format!("the files were read again; {changes}");
                log::info!("{told}");
                for warning in warnings {
                    told += &format!("\nwarning: {warning}");
                }
                Ok(told)
            }
            Err(mut failure) => {
                let problem = "the files were read again, and nothing was changed";
                failure.message = format!("{problem}: {failure}");
                log::error!("{failure}");
                Err(failure)
            }
        }
    }

    /// What changed, and warnings.
    fn try_to_reload(&mut self, now: Instant) -> Result<(Vec<String>, Vec<String>), Failure> {
        let (mut config, mut warnings) = Config::load(&self.running.sources)?;
        netsocket::check(&config.netsocket, &self.running.sources.netsocket)?;
        let old = self.running.config.clone();
        self.running.claim.renew(&config)?;
        if config.modsocket.instance != old.modsocket.instance {
            // What is held is for the old one's peers. What there is no room for is given up.
            self.collect(now, Engine::write_held);
            self.send(now);
            self.engine.forget_held(now);
        }
        if needs_socket(&config.netsocket, &old.netsocket) {
            let opened = self.open_network(&config.netsocket);
            opened.inspect_err(|_| {
                // Nobody else has it: it was given up a moment ago.
                let _ = self.running.claim.renew(&old);
            })?;
        } else {
            self.adjust_network(&config.netsocket, &old.netsocket);
        }
        self.reload_module(now, &config, &old);
        warnings.extend(self.reload_control(&mut config.modsocket, &old.modsocket));
        self.engine.allow(config.netsocket.allowed.clone());
        let extensions = &config.netsocket.extensions;
        if *extensions != old.netsocket.extensions {
            self.engine.extend(now, extensions.options(), seed());
        }
        if config.modsocket.user != old.modsocket.user {
            // The next time, it is told again.
            config.modsocket.user.clone_from(&old.modsocket.user);
            warnings.push("\"user\" takes effect when joold is started again".to_owned());
        }
        let changes = differences(&old, &config);
        self.running.config = config;
        Ok((changes, warnings))
    }

    /// What the socket to the peers can take over as it is.
    fn adjust_network(&mut self, config: &NetsocketConfig, old: &NetsocketConfig) {
        self.links.reconfigure(config);
        let Some(member) = self.netsocket.member() else {
            return;
        };
        if config.ttl != old.ttl {
            if let Err(error) = member.set_ttl(config) {
                log::warn!("cannot set the ttl to {}: {}", config.ttl, words(&error));
            }
        }
        if config.receive_buffer != old.receive_buffer {
            match member.resize(config.receive_buffer) {
                Ok(have) => report::buffer("receive buffer", config.receive_buffer, have),
                Err(error) => log::warn!("cannot resize the receive buffer: {}", words(&error)),
            }
        }
    }

    fn reload_module(&mut self, now: Instant, config: &Config, old: &Config) {
        let (new, old) = (&config.modsocket, &old.modsocket);
        if new.netlink_buffer != old.netlink_buffer {
            match self.modsocket.resize(new.netlink_buffer) {
                Ok(have) => report::buffer("netlink buffer", new.netlink_buffer, have),
                Err(error) => log::warn!("cannot resize the netlink buffer: {}", words(&error)),
            }
        }
        if new.refreshes() != old.refreshes() {
            self.collect(now, Engine::write_held);
            self.send(now);
            self.engine.remerge(now, new.refreshes(), seed());
        }
        if new.instance != old.instance || new.globals() != old.globals() {
            self.engine.reconfigure(now, new.instance, new.globals());
        }
    }
}

/// What clients of the NAT64 cannot guess, for [`Engine::merging_refreshes`]. Each state that std makes
/// has keys of its own, from the system's randomness.
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether the one cannot use the other's socket.
fn needs_socket(new: &NetsocketConfig, old: &NetsocketConfig) -> bool {
    let place = |config: &NetsocketConfig| {
        (
            config.group,
            config.port,
            config.incoming.clone(),
            config.outgoing.clone(),
        )
    };
    place(new) != place(old)
}

/// What changed, as the files write it.
fn differences(old: &Config, new: &Config) -> Vec<String> {
    let flat = |config: &Config| {
        let files = [
            serde_json::to_value(&config.netsocket),
            serde_json::to_value(&config.modsocket),
        ];
        files
            .into_iter()
            .filter_map(|file| match file {
                Ok(Value::Object(keys)) => Some(keys),
                _ => None,
            })
            .flatten()
            .collect::<Vec<_>>()
    };
    let (old, new) = (flat(old), flat(new));
    old.iter()
        .zip(&new)
        .filter(|((_, old), (_, new))| old != new)
        .map(|((key, old), (_, new))| match (old, new) {
            (Value::Null, new) => format!("\"{key}\" is {new}, and was not named"),
            (old, Value::Null) => format!("\"{key}\" was {old}, and is not named any more"),
            (old, new) => format!("\"{key}\" was {old} and is {new}"),
        })
        .collect()
}
