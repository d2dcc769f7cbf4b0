//! Every reason for which something does not reach its destination.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal, $advice:literal;)+) => {
        /// Why something was dropped, refused or lost. Each has a counter and a place in the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant's name.
            const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];

            /// What happened, in the operator's words; the name of the counter.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What to do about it; empty where the log line says it all.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}

reasons! {
    /// The message came from some process, not from the kernel.
    NotFromKernel => "netlink message from another process ignored",
        "find out which program sends to joold's netlink socket";
    /// The message breaks netlink's or Jool's framing.
    MalformedMessage => "malformed netlink message dropped",
        "check that the module is an unmodified Jool 4.1";
    /// The message was longer than the receive buffer.
    TruncatedMessage => "netlink message longer than the buffer dropped",
        "lower \"ss-max-sessions-per-packet\" (jool global update)";
    /// The message is of another family, or is no batch of sessions.
    ForeignMessage => "netlink message that is no batch of sessions ignored", "";
    /// The module's major or minor version is another one.
    ForeignVersion => "the module speaks another version",
        "install a joold and a Jool module whose major and minor versions match";
    /// The batch belongs to another instance of this namespace, which is not ours to forward.
    OtherInstance => "batch of another instance ignored", "";
    /// The kernel dropped messages because the netlink socket's buffer was full.
    KernelOverrun => "messages from the kernel lost: netlink receive buffer full",
        "raise \"netlink buffer\" in the module file or give joold more CPU; between routers with extensions, lost \
         batches are made up for, otherwise run \"jool session advertise\"";
    /// Jool dropped updates because its own queue was full.
    QueueFull => "updates of sessions lost in the kernel: its queue was full",
        "raise \"ss-capacity\" in the module file, or find out why joold or the network is slow";
    /// A batch was full, and the module has no queue for what came behind it.
    PacketFull => "full batches behind which the kernel drops updates of sessions",
        "upgrade to Jool 4.1.11 or later: Jool before 4.1.11 drops what does not fit into a batch until that is \
         fetched; between routers with extensions, it is made up for after some seconds";
    /// The netlink socket failed to receive.
    KernelReceive => "cannot receive from the kernel", "";
    /// The kernel answered any request with EPERM.
    NotPermitted => "the kernel does not let joold do its work",
        "run joold as root or with CAP_NET_ADMIN, outside of any user namespace";
    /// The kernel answered any request with ESRCH.
    InstanceMissing => "requests refused while the instance was missing", "";
    /// The instance could not be looked at.
    LookFailed => "cannot ask the kernel for the instance's globals",
        "joold asks again every few seconds; until then, lifetimes from the network are not limited";
    /// The instance's globals could not be changed.
    SettingRefused => "the kernel refused to change the instance's globals",
        "if it names a BIB entry, add its address to pool4 or wait until it is gone; otherwise compare the \
         keys \"ss-...\" of the module file with \"jool global display\"";
    /// A stretch of another router's table has sessions that no NAT64 can have.
    BadRow => "impossible sessions in other routers' tables left out",
        "compare Jool's version with that of the sender; whoever made them sends to the group without checks";
    /// Sessions came from the network while the instance was missing, did not synchronize, or did
    /// not let the daemon ask for anything, or while the module was of a foreign version.
    NotTaken => "datagrams dropped while the instance took no sessions", "";
    /// Sessions came from the network, or a request was on its way, while the module was not loaded.
    ModuleMissing => "sessions and requests dropped while Jool's kernel module was not loaded", "";
    /// The controller could not be asked for Jool's family.
    ControllerFailed => "cannot ask the kernel for the netlink family \"Jool\"",
        "joold asks again every few seconds";
    /// The family lacks the group of session batches.
    StrangeModule => "the kernel's netlink family \"Jool\" has no group \"joold\"",
        "expected the module of Jool 4.1 (\"modinfo jool\" tells its version)";
    /// The kernel answered a JOOLD_ACK with an error.
    AckRefused => "the kernel refused an acknowledgement",
        "until this is mended, sessions leave late or not at all";
    /// The kernel answered a JOOLD_ADD with an error.
    AddRefused => "the kernel refused sessions from the network",
        "if synchronization is disabled, run \"jool global update ss-enabled true\"; otherwise compare \
         pool4, pool6 and Jool's version with those of the sender";
    /// The kernel answered something else with an error.
    OtherRefused => "the kernel answered with an error", "";
    /// The acknowledgement did not reach the kernel.
    AckNotSent => "cannot acknowledge a batch to the kernel",
        "if this goes on, restart joold";
    /// The sessions of a datagram did not reach the kernel.
    AddNotSent => "cannot pass sessions from the network to the kernel",
        "if this goes on, restart joold";
    /// The batch did not reach the network.
    NotSent => "cannot send a batch to the network", "";
    /// There was no interface to send the batch over.
    InterfaceMissing => "batches dropped while the out interface was missing", "";
    /// A message to the other daemons did not reach the network.
    MessageNotSent => "cannot send a message to the other daemons", "";
    /// The kernel did not tell its sessions.
    TableUnread => "cannot read the instance's session table",
        "what came late or belongs to another router's table is not added until this is mended";
    /// One of this daemon's own datagrams came back.
    OwnDatagram => "own datagram that came back dropped",
        "find the loop in the network between the routers, or the host that has this router's address";
    /// The datagram's source is not in the list of those who may send.
    NotAllowed => "datagram from outside \"allow from\" dropped",
        "add its address to \"allow from\" in the network file if it is one of your routers";
    /// A datagram without a single byte.
    EmptyDatagram => "empty datagram dropped", "";
    /// A datagram that is no row of sessions.
    MalformedDatagram => "malformed datagram dropped",
        "find out who sends to the multicast group besides joold";
    /// A message that no daemon sends.
    MalformedTalk => "malformed message of another daemon dropped",
        "find out who sends to the multicast group besides joold";
    /// A datagram of sessions as another version of Jool writes them.
    ForeignDatagram => "datagram of a router with another version of Jool dropped",
        "Jool up to 4.1.11 and since 4.1.12 write sessions differently: upgrade the older one";
    /// A datagram with a session that no NAT64 has.
    BadSession => "datagram with an impossible session dropped",
        "find out who sends to the multicast group besides joold";
    /// Sessions whose mask is not in the instance's pool4.
    OutsidePool4 => "sessions whose IPv4 source is not in pool4 dropped",
        "give all routers the same pool4 (\"jool pool4 display\"); until then those sessions end when the \
         other router does";
    /// A datagram without sessions: what another joold says to its like.
    NoSessions => "datagram without sessions ignored", "";
    /// A datagram longer than any joold sends.
    OversizedDatagram => "datagram longer than 2048 bytes dropped",
        "find out who sends to the multicast group besides joold";
    /// The multicast socket dropped datagrams because its receive buffer was full.
    NetworkOverrun => "datagrams from the network lost: receive buffer full",
        "raise \"receive buffer\" in the network file or give joold more CPU; between routers with extensions, they \
         are made up for, otherwise run \"jool session advertise\" on the other routers";
    /// The multicast socket failed to receive.
    NetworkReceive => "cannot receive from the network", "";
    /// Updates were held when the daemon was stopped, and could not be sent then.
    HeldNotSent => "updates held at the end not sent",
        "between routers with extensions, they are made up for as soon as joold runs, otherwise run \"jool session \
         advertise\" then";
    /// Updates were held when a module took over that writes sessions in another format.
    OtherFormat => "updates held for an earlier module's sessions dropped", "";
    /// A stats request could not be received or answered.
    StatsFailed => "cannot answer a stats request", "";
    /// Somebody, or all together, asked for the counters too often.
    StatsShare => "stats request beyond the bounds not answered",
        "find out who asks so often, or have a firewall pass the stats port only to those whom you trust";
    /// No client sends such a request: its answer would go to many, to nobody, or be answered.
    StatsOdd => "stats request that no client sends not answered",
        "have a firewall pass the stats port only to those whom you trust";
    /// As many clients were connected to the control socket as may be.
    ControlBusy => "control client refused",
        "find out who connects to the control socket and does not ask";
    /// A client of the control socket did not send its request, or did not read the answer.
    ControlSlow => "control client that asked or read too slowly dropped",
        "find out who connects to the control socket and does not ask";
    /// A follower of the control socket did not read sessions as fast as they passed.
    FollowerSlow => "updates not shown to a follower that reads too slowly",
        "have what \"jooldctl follow\" prints read faster, or written to a file";
    /// A client of the control socket could not be accepted.
    ControlFailed => "cannot accept a control client", "";
}

impl Reason {
    /// The name of the counter for programs: "kernel_overrun".
    pub fn id(self) -> String {
        let mut id = String::new();
        for letter in Self::NAMES[self as usize].chars() {
            if letter.is_ascii_uppercase() && !id.is_empty() {
                id.push('_');
            }
            id.push(letter.to_ascii_lowercase());
        }
        id
    }

    /// Whether nothing is synchronized until somebody does something about it.
    pub fn is_fatal(self) -> bool {
        matches!(
            self,
            Self::ForeignVersion | Self::NotPermitted | Self::StrangeModule
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_trouble_explains_each_reason_and_no_other() {
        let page = include_str!("../../docs/troubleshooting.md");
        let (_, table) = page.split_once("| --- | --- | --- |\n").unwrap();
        let rows = table.lines().filter_map(|line| line.split(" | ").next());
        let names: Vec<_> = rows.map(|name| name.trim_start_matches("| ")).collect();
        let expected: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names, expected);
    }
}
