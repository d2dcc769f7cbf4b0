//! What the figures were measured on.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// What the processor calls itself.
    pub processor: String,
    /// Cores that the benchmark may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// net.core.rmem_default: a UDP socket's buffer unless its daemon asks for more.
    pub receive_buffer: u64,
    /// Processes that wanted to run just before, averaged over a minute.
    pub load_before: f64,
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("an unnamed processor", |(_, model)| model);
        let load = read("/proc/loadavg");
        Self {
            processor: model.to_owned(),
            cores: available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            receive_buffer: read("/proc/sys/net/core/rmem_default")
                .trim()
                .parse()
                .unwrap_or_default(),
            load_before: load
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
        }
    }
}
