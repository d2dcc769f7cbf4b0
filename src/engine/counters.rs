//! What passed, and what did not and why.
//!
//! The counters add up. While nothing waits to be sent, of batches and datagrams:
//! [`Counters::kernel_sent`] + [`Counters::releases`] = [`Counters::net_sent`] + what was lost as
//! [`Reason::NotSent`] or [`Reason::InterfaceMissing`] + [`Counters::shared`] + [`Counters::withheld`]; and of bytes of sessions:
//! `kernel_sent` = `net_sent` + [`Counters::unsent`] + those of the updates that are merged, held,
//! or lost as [`Reason::HeldNotSent`] or [`Reason::OtherFormat`], less those that were
//! [told again](Counters::restated).

use std::fmt;
use std::io::{self, Write};

use super::Reason;
use super::count::Count;
use super::refresh::Refreshes;
use crate::sync::Tally;

/// Packets and the bytes of sessions in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Batches or datagrams.
    pub packets: u64,
    /// Bytes of the containers' contents, which are the datagrams' payloads.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.packets, self.bytes)
    }
}

/// All counters since the start.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Batches of our instance that the kernel sent to the daemon; upstream's `KERNEL_SENT`.
    pub kernel_sent: Traffic,
    /// Updates of sessions in them.
    pub updates: u64,
    /// Datagrams that the network brought; upstream's `NET_RCVD`.
    pub net_received: Traffic,
    /// Datagrams that were sent to the network; upstream's `NET_SENT`.
    pub net_sent: Traffic,
    /// How often the network had no room, so that the kernel had to wait.
    pub waits: u64,
    /// Updates of sessions that gave way to newer ones of the same session.
    pub merged: u64,
    /// Updates of sessions that were told again, for another router told something older.
    pub restated: u64,
    /// Updates that are held now, until their session's window ends.
    pub held: u64,
    /// Batches of which nothing went out at once, because all their updates are merged or held.
    pub withheld: u64,
    /// Parts of datagrams that were made of updates that had been held.
    pub releases: u64,
    /// Batches, or parts of held updates, that left in the datagram of an earlier one.
    pub shared: u64,
    /// Bytes of sessions in the datagrams that could not be sent: [`Reason::NotSent`] and
    /// [`Reason::InterfaceMissing`].
    pub unsent: u64,
    /// Datagrams of sessions that came in the other byte order.
    pub converted: u64,
    /// Sessions from the network whose lifetime was longer than any of the instance.
    pub shortened: u64,
    /// Repeats of datagrams, and parts of tables, that came.
    pub again: u64,
    /// Datagrams, repeats and parts of which nothing was added, for nothing was newer than what the kernel
    /// has or all of it was outside pool4.
    pub nothing_new: u64,
    /// Sessions from the network of which this router has told something as new, or newer.
    pub known: u64,
    /// Sessions that came late, and were not as new as the kernel's own.
    pub older: u64,
    /// What passed between the nodes of the group.
    pub group: Tally,
    lost: [u64; Reason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            kernel_sent: Traffic::default(),
            updates: 0,
            net_received: Traffic::default(),
            net_sent: Traffic::default(),
            waits: 0,
            merged: 0,
            restated: 0,
            held: 0,
            withheld: 0,
            releases: 0,
            shared: 0,
            unsent: 0,
            converted: 0,
            shortened: 0,
            again: 0,
            nothing_new: 0,
            known: 0,
            older: 0,
            group: Tally::default(),
            lost: [0; Reason::ALL.len()],
        }
    }
}

impl Counters {
    /// Enough for the six lines with the largest numbers.
    pub const REPLY: usize = 256;

    /// How often something ended for `reason`.
    pub fn lost(&self, reason: Reason) -> u64 {
        self.lost[reason as usize]
    }

    pub(super) fn lose(&mut self, reason: Reason, times: u64) {
        self.lost[reason as usize] += times;
    }

    pub(super) fn follow(&mut self, refreshes: &Refreshes) {
        self.merged = refreshes.merged();
        self.restated = refreshes.restated();
        self.held = refreshes.held() as u64;
    }

    /// All of them but what was lost.
    pub fn counts(&self) -> Vec<Count> {
        let all = self.traffic().into_iter().chain(self.ways());
        all.chain(self.late()).chain(self.group.counts()).collect()
    }

    /// What passed.
    fn traffic(&self) -> [Count; 7] {
        let (kernel, received, sent) = (self.kernel_sent, self.net_received, self.net_sent);
        [
            Count::total(
                "batches_from_kernel",
                "batches from the kernel",
                kernel.packets,
            ),
            Count::total("bytes_from_kernel", "bytes from the kernel", kernel.bytes)
                .meaning("bytes of sessions from the kernel"),
            Count::total(
                "updates_from_kernel",
                "updates from the kernel",
                self.updates,
            )
            .meaning("updates of sessions from the kernel"),
            Count::total(
                "datagrams_to_network",
                "datagrams to the network",
                sent.packets,
            )
            .meaning("datagrams of sessions to the network"),
            Count::total("bytes_to_network", "bytes to the network", sent.bytes)
                .meaning("bytes of sessions to the network"),
            Count::total(
                "datagrams_from_network",
                "datagrams from the network",
                received.packets,
            )
            .meaning("datagrams of sessions from the network"),
            Count::total(
                "bytes_from_network",
                "bytes from the network",
                received.bytes,
            )
            .meaning("bytes of sessions from the network"),
        ]
    }

    /// What became of updates on their way, and the rest.
    fn ways(&self) -> [Count; 10] {
        [
            Count::total(
                "updates_merged",
                "updates merged into later ones",
                self.merged,
            ),
            Count::level("updates_held", "updates held", self.held)
                .meaning("updates that are held until their session's refresh window ends"),
            Count::total("updates_restated", "updates told again", self.restated)
                .meaning("updates told again because another router told something older"),
            Count::total(
                "batches_withheld",
                "batches merged or held entirely",
                self.withheld,
            ),
            Count::total(
                "parts_released",
                "parts made of held updates",
                self.releases,
            )
            .meaning("parts of datagrams made of updates that had been held"),
            Count::total("parts_shared", "parts that shared a datagram", self.shared)
                .meaning("batches and parts that left in the datagram of an earlier one"),
            Count::total("bytes_unsent", "bytes not sent", self.unsent)
                .meaning("bytes of sessions that could not be sent to the network"),
            Count::total(
                "datagrams_converted",
                "datagrams of the other byte order",
                self.converted,
            )
            .meaning("datagrams of sessions that came in the other byte order"),
            Count::total(
                "lifetimes_shortened",
                "lifetimes cut to the instance's longest",
                self.shortened,
            ),
            Count::total("network_waits", "waits for room in the network", self.waits),
        ]
    }

    /// What became of what came late, or was known.
    fn late(&self) -> [Count; 4] {
        [
            Count::total(
                "pieces_received",
                "repeats and parts of tables received",
                self.again,
            ),
            Count::total(
                "pieces_without_news",
                "of those and of datagrams, had nothing new",
                self.nothing_new,
            )
            .meaning("datagrams, repeats and parts of tables that had nothing new"),
            Count::total(
                "sessions_told_newer",
                "sessions of which newer was told",
                self.known,
            )
            .meaning("sessions left out for this router has told something as new, or newer"),
            Count::total(
                "sessions_older_than_kernel",
                "late sessions older than the kernel's",
                self.older,
            ),
        ]
    }

    /// Writes the reply of the stats server: upstream's six lines, `NAME,VALUE`.
    ///
    /// # Errors
    /// When `out` takes fewer than [`Counters::REPLY`] bytes.
    pub fn write_reply(&self, mut out: impl Write) -> io::Result<()> {
        let groups = [
            ("KERNEL_SENT", self.kernel_sent),
            ("NET_RCVD", self.net_received),
            ("NET_SENT", self.net_sent),
        ];
        for (name, traffic) in groups {
            writeln!(out, "{name}_PKTS,{}", traffic.packets)?;
            writeln!(out, "{name}_BYTES,{}", traffic.bytes)?;
        }
        Ok(())
    }
}

/// One line for the log: what passed, and every reason for a loss.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batches from the kernel: {}; datagrams to the network: {}; from the network: {}",
            self.kernel_sent, self.net_sent, self.net_received
        )?;
        if (self.merged, self.held) != (0, 0) {
            write!(
                f,
                "; updates merged into later ones: {}; held: {}",
                self.merged, self.held
            )?;
        }
        for (what, count) in [
            ("batches merged or held entirely", self.withheld),
            ("parts made of held updates", self.releases),
            ("parts that shared a datagram", self.shared),
            ("bytes not sent", self.unsent),
            ("updates told again", self.restated),
        ] {
            if count != 0 {
                write!(f, "; {what}: {count}")?;
            }
        }
        if self.waits != 0 {
            write!(f, "; waited for room in the network: {}", self.waits)?;
        }
        if self.converted != 0 {
            let converted = self.converted;
            write!(f, "; converted from the other byte order: {converted}")?;
        }
        if self.shortened != 0 {
            let shortened = self.shortened;
            write!(f, "; lifetimes cut to the instance's longest: {shortened}")?;
        }
        for Count { words, value, .. } in self.group.counts().into_iter().chain(self.late()) {
            if value != 0 {
                write!(f, "; {words}: {value}")?;
            }
        }
        for &reason in Reason::ALL {
            if self.lost(reason) != 0 {
                write!(f, "; {reason}: {}", self.lost(reason))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest() -> Counters {
        let most = Traffic {
            packets: u64::MAX,
            bytes: u64::MAX,
        };
        Counters {
            kernel_sent: most,
            net_received: most,
            net_sent: most,
            ..Counters::default()
        }
    }

    #[test]
    fn the_reply_is_upstreams_six_lines() {
        let mut counters = Counters::default();
        counters.kernel_sent.add(208);
        counters.net_sent.add(208);
        let mut reply = Vec::new();
        counters.write_reply(&mut reply).unwrap();
        assert_eq!(
            String::from_utf8(reply).unwrap(),
            "KERNEL_SENT_PKTS,1\nKERNEL_SENT_BYTES,208\nNET_RCVD_PKTS,0\nNET_RCVD_BYTES,0\n\
             NET_SENT_PKTS,1\nNET_SENT_BYTES,208\n"
        );
    }

    #[test]
    fn the_largest_reply_fits_its_buffer() {
        let mut buffer = [0; Counters::REPLY];
        largest().write_reply(&mut buffer[..]).unwrap();
    }

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        for (index, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, index);
            let mut counters = Counters::default();
            counters.lose(reason, 1);
            assert_eq!(counters.lost.iter().sum::<u64>(), counters.lost(reason));
            assert!(counters.to_string().contains(reason.name()));
        }
    }
}
