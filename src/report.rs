//! The engine's events, as an operator reads them.

use std::io;
use std::path::Path;

use log::Level;

use crate::config::Group;
use crate::engine::{Event, Reason};
use crate::failure::words;
use crate::sync::News;

/// Logs how large the receive buffer of that key really is.
pub fn buffer(key: &str, wanted: u32, have: u32) {
    if have < wanted {
        log::warn!(
            "the {key} has {have} bytes instead of {wanted}; run joold as root or with \
             CAP_NET_ADMIN, or raise the sysctl net.core.rmem_max"
        );
    } else {
        log::info!("the {key} has {have} bytes");
    }
}

/// Logs how much a datagram may carry.
pub fn payload(bytes: usize) {
    log::info!("up to {bytes} bytes of sessions travel in one datagram");
}

/// That `jooldctl` cannot ask this daemon, and why; whether the path is the default matters for
/// what to do.
pub fn no_control_socket(path: &Path, is_default: bool, why: &str) -> String {
    let path = path.display();
    if is_default {
        format!(
            "no control socket at {path}, so jooldctl cannot ask: {why}; name another place as \"control \
             socket\" in the module file (false: no socket), or start joold as root"
        )
    } else {
        format!(
            "cannot open {path}, the \"control socket\" of the module file, so jooldctl cannot ask: \
             {why}; mend that or name another place, and send joold SIGHUP or start it again"
        )
    }
}

/// That the control socket could not be changed, and is still at `path`.
pub fn control_stays(path: &Path, why: &str) -> String {
    format!(
        "the control socket stays at {} as it is: {why}; \"control socket\" and \"control group\" take \
         effect when joold is started again",
        path.display()
    )
}

/// Logs that the members of `group` cannot use the control socket.
pub fn control_not_shared(path: &Path, group: &Group, error: &io::Error) {
    log::warn!(
        "cannot give the control socket {} to the group {group}, the \"control group\" of the module \
         file: {}; start joold as root, or as a member of that group",
        path.display(),
        words(error)
    );
}

/// Logs one event.
pub fn log(event: &Event) {
    match event {
        Event::ModuleLoaded(Some(version)) => {
            log::info!("Jool's kernel module is there: {version}");
        }
        Event::ModuleLoaded(None) => log::info!("Jool's kernel module is there"),
        Event::ModuleMissing => log::error!(
            "Jool's kernel module is not loaded; joold waits for it: run \"modprobe jool\""
        ),
        Event::ModuleUnloaded => log::error!(
            "Jool's kernel module was unloaded, and nothing is synchronized; joold waits for it: run \
             \"modprobe jool\" and create the instance"
        ),
        Event::ModuleVersion(version) => {
            log::info!("receiving sessions from the kernel; its module is Jool {version}");
        }
        Event::InstanceFound
        | Event::InstanceMissing(_)
        | Event::InstanceRemoved(_)
        | Event::InstanceRecreated
        | Event::Changed { .. }
        | Event::LacksGlobal(_)
        | Event::Pool4TooLarge
        | Event::Serving { .. }
        | Event::SynchronizationIsOff
        | Event::SynchronizationTurnedOff
        | Event::SynchronizationTurnedOn => log_instance(event),
        Event::Standing(standing) => log::info!("standing: {standing}"),
        Event::FirstDatagram(source) => {
            log::info!("receiving sessions from the network; the first came from {source}");
        }
        Event::Group(news) => log_group(news),
        Event::OtherSpelling(name) => {
            log::info!("the kernel spells the instance {name}, and so does joold from here on");
        }
        Event::Trouble { reason, detail } => {
            let advice = Advice(reason.advice());
            log::log!(level(*reason), "{reason}: {detail}{advice}");
        }
        Event::Repeated { reason, times } => {
            let advice = Advice(reason.advice());
            log::log!(level(*reason), "{reason}: {times} more times{advice}");
        }
        Event::Recovered { reason, times: 0 } => log::info!("over: {reason}; it works again"),
        Event::Recovered { reason, times } => {
            log::info!("over: {reason} ({times} more times); it works again");
        }
    }
}

/// What became of the other nodes.
fn log_group(news: &News) {
    match news {
        News::PeerCame(node, source) => {
            log::info!("another joold is there: {node:08x} at {source}")
        }
        News::PeerGone(node, source) => {
            log::warn!(
                "nothing is heard any more of the joold {node:08x} at {source}; if it was not stopped, check \
                 that router and the network between"
            );
        }
        News::TableRead(node, source, sessions) => {
            log::info!("read the table of {node:08x} at {source}: {sessions} sessions");
        }
        News::Renamed(source) => log::warn!(
            "{source} has this daemon's number, which is another one from here on; if it is one of this \
             router's addresses, find the loop in the network"
        ),
    }
}

/// Where the module's own timer sets the pace instead of `ss-flush-deadline`, in ms.
const SLOW: u32 = 2000;

/// What became of the instance.
fn log_instance(event: &Event) {
    const CREATE: &str = "joold waits for it: create it with \"jool instance add\" in this network \
        namespace, or spell it in the module file exactly as \"jool instance display\" does";
    const TURN_ON: &str = "run \"jool global update ss-enabled true\"";
    match event {
        Event::InstanceFound => log::info!("the instance is there"),
        Event::InstanceMissing(words) => {
            log::error!("the kernel does not know the instance: {words}; {CREATE}");
        }
        Event::InstanceRemoved(words) => {
            log::error!("the instance was removed, and nothing is synchronized: {words}; {CREATE}");
        }
        Event::InstanceRecreated => log::info!(
            "the instance was created anew, or its configuration replaced (\"jool file handle\"); between \
             routers with extensions, its table is filled again, otherwise run \"jool session advertise\" on \
             another router"
        ),
        Event::Pool4TooLarge => log::info!(
            "pool4 has too many ranges to compare each session with; those outside it are not left out"
        ),
        Event::Changed { global, from, to } => {
            let (from, to) = (global.text(*from), global.text(*to));
            log::info!("{} of the instance set from {from} to {to}", global.name());
        }
        Event::LacksGlobal(global) => log::warn!(
            "this version of Jool has no {}; remove \"{0}\" from the module file",
            global.name()
        ),
        Event::Serving {
            deadline: Some(deadline @ SLOW..),
        } => log::info!(
            "sessions are synchronized; a lone one may wait for up to 4 s in the kernel, since \
             ss-flush-deadline is {deadline} ms: \"ss-flush-deadline\": 20 in the module file makes it \
             0.1 s"
        ),
        Event::Serving { .. } => log::info!("sessions are synchronized"),
        Event::SynchronizationIsOff => log::warn!(
            "synchronization is off at the instance, which joold leaves alone since the module file has \
             \"ss-enabled\": false; {TURN_ON}"
        ),
        Event::SynchronizationTurnedOff => log::warn!(
            "synchronization was turned off at the instance, and nothing is synchronized; joold leaves \
             it so until the instance is created anew: {TURN_ON}"
        ),
        Event::SynchronizationTurnedOn => {
            log::info!("synchronization was turned on at the instance; sessions are synchronized");
        }
        _ => {}
    }
}

fn level(reason: Reason) -> Level {
    match reason.is_fatal() {
        true => Level::Error,
        false => Level::Warn,
    }
}

/// "; what to do", where there is something to do.
struct Advice(&'static str);

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}
