//! One daemon for each instance, group and port of a network namespace.
//!
//! Daemons of several instances may share a group and its port, so the UDP socket does not tell two
//! of the same instance. The claim does: a Unix socket with an abstract name (unix(7)). Such names
//! belong to the network namespace, one socket has one at a time, and it is free again as soon as
//! the process ends, however that happens. The socket is a stream's that never listens: nobody can
//! connect to it, or send to it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::Config;
use crate::failure::Failure;
use crate::processes;

/// The longest name that an address of a Unix socket holds, less the zero byte that it begins with.
const LONGEST: usize = 106;

/// What keeps other daemons from the same work, as long as it lives.
#[derive(Debug)]
pub struct Claim {
    name: String,
    /// Holds the name.
    _socket: Socket,
}

impl Claim {
    /// Claims the instance, group and port of `config`.
    ///
    /// # Errors
    /// When another process has claimed them.
    pub fn stake(config: &Config) -> Result<Self, Failure> {
        Self::take(name(config), config)
    }

    /// Claims those of `config` in place of what it has, which it keeps if that fails.
    ///
    /// # Errors
    /// When another process has claimed them.
    pub fn renew(&mut self, config: &Config) -> Result<(), Failure> {
        let name = name(config);
        if name != self.name {
            *self = Self::take(name, config)?;
        }
        Ok(())
    }

    fn take(name: String, config: &Config) -> Result<Self, Failure> {
        let bind = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Self {
                name,
                _socket: socket,
            }),
            Err(error) => Err(refused(&name, config, &error)),
        }
    }
}

fn refused(name: &str, config: &Config, error: &io::Error) -> Failure {
    let (instance, group) = (config.modsocket.instance, group(config));
    if error.kind() != io::ErrorKind::AddrInUse {
        let what = format!("cannot claim the instance {instance} and {group}");
        return Failure::system(what, error);
    }
    let holder = processes::describe(inode_of_name(name));
    Failure::unavailable(format!(
        "{holder} serves the instance {instance} on {group} already, and two would send everything \
         twice; stop that one first"
    ))
}

/// The name that stands for what one daemon does. Upstream compares instances without case.
fn name(config: &Config) -> String {
    let instance = config.modsocket.instance.as_str().to_ascii_lowercase();
    let name = format!("joold/{instance}/{}", group(config));
    if name.len() <= LONGEST {
        return name;
    }
    // The same in each process: it has no key of its own.
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    format!("joold/{instance}/{:016x}", hash.finish())
}

/// The group and its port, and the link where it means nothing without that.
fn group(config: &Config) -> String {
    let netsocket = &config.netsocket;
    let group = SocketAddr::new(netsocket.group, netsocket.port);
    match netsocket
        .incoming
        .as_ref()
        .filter(|_| netsocket.needs_scope())
    {
        Some(link) => format!("{group} on {link}"),
        None => group.to_string(),
    }
}

/// Warns of each process of this namespace that has the same group and port, such as upstream's
/// daemon, or that of another instance. To be called before the daemon's own socket is open.
pub fn warn_of_neighbours(config: &Config) {
    let group = SocketAddr::new(config.netsocket.group, config.netsocket.port);
    for inode in inodes_of_group(group) {
        let neighbour = processes::describe(Some(inode));
        log::warn!(
            "{neighbour} has a socket on {group}, too; stop it if it serves the same instance; \
             otherwise give each instance a \"multicast port\" of its own, or each router takes the \
             sessions of both"
        );
    }
}

/// The socket that has an abstract name. The kernel shows names with "@" for each zero byte.
fn inode_of_name(name: &str) -> Option<u64> {
    let end = format!(" @{name}");
    let table = table("unix");
    let line = table.lines().find_map(|line| line.strip_suffix(&end))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// The UDP sockets that are bound to `group`, its port included.
fn inodes_of_group(group: SocketAddr) -> Vec<u64> {
    let table = table(match group {
        SocketAddr::V4(_) => "udp",
        SocketAddr::V6(_) => "udp6",
    });
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        let same = address == in_hex(group.ip()) && port == format!("{:04X}", group.port());
        fields.nth(7).filter(|_| same)?.parse().ok()
    };
    table.lines().filter_map(inode).collect()
}

/// An address as `/proc/net/udp` and `/proc/net/udp6` have it: 32 bits at a time, each printed as
/// a number of this machine's byte order.
fn in_hex(address: IpAddr) -> String {
    let word = |bits: u32| format!("{:08X}", bits.to_be());
    match address {
        IpAddr::V4(ip) => word(ip.to_bits()),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            let words = [96, 64, 32, 0].map(|shift| word((bits >> shift) as u32));
            words.concat()
        }
    }
}

/// A table of this network namespace; empty if it cannot be read, for then there is nothing to tell.
fn table(name: &str) -> String {
    let bytes = fs::read(format!("/proc/net/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ExtensionsConfig;
    use crate::config::{Document, ModsocketConfig, NetsocketConfig};
    use crate::engine::AllowList;
    use crate::failure::Exit;
    use std::net::UdpSocket;
    use std::process;

    /// The instance's name, with this process's id behind it: others may run the same test.
    fn config(instance: &str, port: u16) -> Config {
        let text = format!(r#"{{"instance": "{instance}{}"}}"#, process::id());
        let document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        let (modsocket, _) = ModsocketConfig::from_document(document).unwrap();
        Config {
            netsocket: NetsocketConfig {
                group: "ff08::db8:64:64".parse().unwrap(),
                port,
                incoming: None,
                outgoing: None,
                ttl: 1,
                receive_buffer: 131_072,
                allowed: AllowList::EVERYBODY,
                stats_allowed: Vec::new(),
                extensions: ExtensionsConfig::default(),
            },
            modsocket,
            stats: None,
        }
    }

    #[test]
    fn the_same_instance_group_and_port_are_claimed_once_whatever_the_case() {
        let claim = Claim::stake(&config("once", 1)).unwrap();
        for name in ["once", "ONCE"] {
            let failure = Claim::stake(&config(name, 1)).unwrap_err();
            assert_eq!(failure.exit, Exit::Unavailable);
            let holder = format!("process {} (", process::id());
            assert!(failure.message.starts_with(&holder), "{failure}");
        }
        Claim::stake(&config("once", 2)).unwrap();
        Claim::stake(&config("twice", 1)).unwrap();
        drop(claim);
        Claim::stake(&config("once", 1)).unwrap();
    }

    #[test]
    fn a_claim_may_change_and_is_kept_if_it_cannot() {
        let (mut mine, other) = (
            Claim::stake(&config("mine", 1)).unwrap(),
            Claim::stake(&config("other", 1)).unwrap(),
        );
        mine.renew(&config("mine", 1)).unwrap();
        mine.renew(&config("other", 1)).unwrap_err();
        Claim::stake(&config("mine", 1)).unwrap_err();
        drop(other);
        mine.renew(&config("other", 1)).unwrap();
        Claim::stake(&config("mine", 1)).unwrap();
        Claim::stake(&config("other", 1)).unwrap_err();
    }

    #[test]
    fn sockets_on_a_group_are_found_by_address_and_port() {
        for group in ["233.252.0.64:0", "[ff08::db8:64:64]:0"] {
            let socket = UdpSocket::bind(group).unwrap();
            let mut group = socket.local_addr().unwrap();
            let [inode] = inodes_of_group(group)[..] else {
                panic!("{:?}", inodes_of_group(group));
            };
            let holder = processes::describe(Some(inode));
            assert!(
                holder.starts_with(&format!("process {} (", process::id())),
                "{holder}"
            );
            group.set_port(group.port() ^ 1);
            assert!(!inodes_of_group(group).contains(&inode));
        }
    }
}
