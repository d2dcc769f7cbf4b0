//! The engine's events, as an operator reads them.

use log::Level;

use crate::config::Config;
use crate::engine::{Event, Reason};
use crate::modsocket::ModSocket;
use crate::netsocket::NetSocket;

/// Logs how large the receive buffers really are.
pub fn buffers(config: &Config, modsocket: &ModSocket, netsocket: &NetSocket) {
    let buffers = [
        (
            "netlink buffer",
            config.modsocket.netlink_buffer,
            modsocket.receive_buffer(),
        ),
        (
            "receive buffer",
            config.netsocket.receive_buffer,
            netsocket.receive_buffer(),
        ),
    ];
    for (key, wanted, have) in buffers {
        if have < wanted {
            log::warn!(
                "the {key} has {have} bytes instead of {wanted}; run joold as root or with \
                 CAP_NET_ADMIN, or raise the sysctl net.core.rmem_max"
            );
        } else {
            log::info!("the {key} has {have} bytes");
        }
    }
    log::info!(
        "up to {} bytes of sessions travel in one datagram",
        netsocket.payload()
    );
}

/// Logs one event.
pub fn log(event: &Event) {
    match event {
        Event::ModuleLoaded => {
            log::info!("Jool's kernel module is there; sessions are synchronized");
        }
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
        Event::FirstDatagram(source) => {
            log::info!("receiving sessions from the network; the first came from {source}");
        }
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
