//! A router: a namespace, a simulated kernel in it, and a daemon.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use joold::wire::jool::Version;

use crate::daemon::{Configuration, Daemon, Program};
use crate::namespace::Namespace;
use crate::server::Kernel;
use crate::wait;

/// The interface by which two routers see each other.
pub const LINK: &str = "to_peer";

/// The instance of every router, unless a test makes others.
pub const INSTANCE: &str = "default";

/// How two routers talk: the examples of Jool's manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Group `ff08::db8:64:64` on an interface given by its name.
    Ipv6,
    /// Group `ff02::db8:64:64`, which means nothing without its link.
    Ipv6Link,
    /// Group `ff08::db8:64:64` on the interface that has an address.
    Ipv6ByAddress,
    /// Group `233.252.0.64` on the interface that has an address.
    Ipv4,
    /// Group `233.252.0.64` on an interface given by its name.
    Ipv4ByName,
}

/// One of the two routers of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    J,
    /// The second.
    K,
}

impl Side {
    fn number(self) -> u8 {
        match self {
            Self::J => 1,
            Self::K => 2,
        }
    }

    /// Its IPv4 address on the link.
    pub fn ipv4(self) -> String {
        format!("192.0.2.{}", self.number())
    }

    /// Its IPv6 address on the link.
    pub fn ipv6(self) -> String {
        format!("2001:db8::{}", self.number())
    }
}

impl Network {
    /// The group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Ipv6 | Self::Ipv6ByAddress => "ff08::db8:64:64",
            Self::Ipv6Link => "ff02::db8:64:64",
            Self::Ipv4 | Self::Ipv4ByName => "233.252.0.64",
        }
    }

    /// As [`Network::netsocket`], of a daemon that sends what upstream's does and nothing else.
    pub fn plain_netsocket(self, side: Side, more: &str) -> String {
        self.netsocket(side, &format!(r#", "extensions": false{more}"#))
    }

    /// The file netsocket.json of one side, with more fields if `more` has any.
    pub fn netsocket(self, side: Side, more: &str) -> String {
        let interface = match self {
            Self::Ipv6 | Self::Ipv6Link | Self::Ipv4ByName => LINK.to_owned(),
            Self::Ipv6ByAddress => side.ipv6(),
            Self::Ipv4 => side.ipv4(),
        };
        let group = self.group();
        let (inward, outward) = ("in interface", "out interface");
        format!(
            r#"{{ "multicast address": "{group}", "multicast port": "6464",
                "{inward}": "{interface}", "{outward}": "{interface}"{more} }}"#
        )
    }
}

/// A router.
#[derive(Debug)]
pub struct Node {
    /// Which of the two it is.
    pub side: Side,
    /// Dropped first, so that a daemon never sees its kernel go.
    pub daemon: Option<Daemon>,
    /// Its Jool.
    pub kernel: Kernel,
    /// Where both live.
    pub namespace: Namespace,
}

impl Node {
    /// A router with a kernel and one instance, without a daemon.
    ///
    /// # Errors
    /// What the machine does not allow.
    pub fn new(side: Side, version: Version) -> io::Result<Self> {
        let namespace = Namespace::new()?;
        let kernel = Kernel::start(&namespace, version)?;
        kernel.add_instance(INSTANCE);
        Ok(Self {
            side,
            daemon: None,
            kernel,
            namespace,
        })
    }

    /// Starts a daemon; one that runs already is killed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&mut self, program: &Program, configuration: &Configuration) -> io::Result<()> {
        self.daemon = None;
        let daemon = Daemon::start(program, &self.namespace, configuration)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Starts a daemon as [`Node::start`] does, and waits until both its sockets have joined their
    /// groups. What comes after that reaches it.
    ///
    /// # Errors
    /// When it does not start, or not get that far.
    pub fn start_and_wait(
        &mut self,
        program: &Program,
        configuration: &Configuration,
    ) -> Result<(), String> {
        self.start(program, configuration)
            .map_err(|error| error.to_string())?;
        wait::for_some("the daemon to join its groups", || {
            let daemon = self.daemon.as_ref()?;
            (self.hears_kernel(daemon) && hears_network(daemon)).then_some(())
        })
        .map_err(|why| {
            let said = self.daemon.as_ref().map(Daemon::said);
            format!("{why}; it says: {}", said.unwrap_or_default())
        })
    }

    /// Waits until the daemon is in the group of the module that is loaded now.
    ///
    /// # Errors
    /// When it does not get that far.
    pub fn wait_until_it_hears_the_kernel(&self) -> Result<(), String> {
        wait::for_some("the daemon to join the module's group", || {
            self.hears_kernel(self.daemon.as_ref()?).then_some(())
        })
    }

    /// Whether any socket of the namespace is in Jool's netlink group.
    fn hears_kernel(&self, daemon: &Daemon) -> bool {
        self.kernel_port(daemon).is_some()
    }

    /// The port id of the daemon's socket in Jool's netlink group, if it has joined that.
    pub fn kernel_port(&self, daemon: &Daemon) -> Option<u32> {
        let group = self.kernel.module().group()?;
        let sockets = daemon.proc("net/netlink").unwrap_or_default();
        sockets.lines().find_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let user = fields.next()? == USERSOCK;
            let port = fields.next()?.parse().ok()?;
            let groups = u32::from_str_radix(fields.next()?, 16).ok()?;
            (user && groups & (1 << (group - 1)) != 0).then_some(port)
        })
    }

    /// Gives the link its IPv6 addresses, which it loses when it is taken down.
    ///
    /// # Errors
    /// What `ip` complains of.
    pub fn add_addresses6(&self) -> io::Result<()> {
        let side = self.side;
        self.namespace
            .address(LINK, &format!("fe80::{}/64", side.number()))?;
        self.namespace.address(LINK, &format!("{}/64", side.ipv6()))
    }

    /// Gives the link its IPv4 address.
    ///
    /// # Errors
    /// What `ip` complains of.
    pub fn add_address4(&self) -> io::Result<()> {
        let address = format!("{}/24", self.side.ipv4());
        self.namespace
            .ip(&["address", "add", &address, "dev", LINK])
    }

    /// Sends one datagram to the group, as any host on the link can.
    ///
    /// # Errors
    /// Those of socket(2) and send(2).
    pub fn multicast(&self, network: Network, port: u16, payload: &[u8]) -> io::Result<()> {
        let Ok(group) = network.group().parse::<Ipv6Addr>() else {
            // IPv4 takes the interface from the routes.
            let socket = self.udp(&format!("{}:0", self.side.ipv4()))?;
            socket.send_to(payload, (network.group(), port))?;
            return Ok(());
        };
        let index = self
            .namespace
            .run(|| nix::net::if_::if_nametoindex(LINK))??;
        let socket = self.udp("[::]:0")?;
        socket.send_to(payload, SocketAddrV6::new(group, port, 0, index))?;
        Ok(())
    }

    /// A UDP socket in the router's namespace that gives up a receive after five seconds.
    ///
    /// # Errors
    /// When the address is not the router's.
    pub fn udp(&self, address: &str) -> io::Result<UdpSocket> {
        let socket = self.namespace.run(|| UdpSocket::bind(address))??;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    }
}

/// `NETLINK_USERSOCK`, as /proc/net/netlink has it.
const USERSOCK: &str = "2";

/// The examples' groups, as /proc/net/igmp6 and /proc/net/igmp on a little- or big-endian machine
/// have them.
const GROUPS: [&str; 4] = [
    "ff0800000000000000000db800640064",
    "ff0200000000000000000db800640064",
    "4000FCE9",
    "E9FC0040",
];

/// Whether the daemon's namespace is in one of the examples' groups.
fn hears_network(daemon: &Daemon) -> bool {
    ["net/igmp6", "net/igmp"]
        .iter()
        .filter_map(|file| daemon.proc(file).ok())
        .any(|text| GROUPS.iter().any(|group| text.contains(group)))
}

/// Two routers, J and K, joined by a link with addresses of both families; no daemons yet.
///
/// # Errors
/// What the machine does not allow.
pub fn pair(version: Version) -> io::Result<(Node, Node)> {
    let j = Node::new(Side::J, version)?;
    let k = Node::new(Side::K, version)?;
    connect(&j, &k)?;
    Ok((j, k))
}

/// Makes the link between two routers, with addresses of both families.
///
/// # Errors
/// What the machine does not allow.
pub fn connect(j: &Node, k: &Node) -> io::Result<()> {
    j.namespace.join(&k.namespace, LINK)?;
    for node in [j, k] {
        node.add_addresses6()?;
        node.add_address4()?;
        node.namespace
            .ip(&["route", "add", "233.252.0.0/24", "dev", LINK])?;
    }
    Ok(())
}
