//! The engine's events, as an operator reads them.

use crate::engine::Event;

/// Logs one event.
pub fn log(event: &Event) {
    match event {
        Event::ModuleVersion(version) => {
            log::info!("receiving sessions from the kernel; its module is Jool {version}");
        }
        Event::FirstDatagram(source) => {
            log::info!("receiving sessions from the network; the first came from {source}");
        }
        Event::Trouble { reason, detail } => {
            log::warn!("{reason}: {detail}{}", Advice(reason.advice()));
        }
        Event::Repeated { reason, times } => {
            log::warn!("{reason}: {times} more times{}", Advice(reason.advice()));
        }
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
