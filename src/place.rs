//! Where the group is: the interfaces that the network file names, as they are now.
//!
//! Interfaces come and go, are renamed, and get other addresses while the daemon runs. Here it is
//! decided which ones it uses, and what an operator should know about them; nothing is asked or
//! opened.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::config::{Link, NetsocketConfig};
use crate::interfaces::{Interface, Interfaces, State};

/// What there is to say about one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Sound,
    /// The file's name is nobody's any more, but the interface that had it is there.
    Renamed,
    /// The file's address is nobody's any more, but the interface that had it is there.
    AddressGone,
    /// The interface is down.
    Down,
    /// The interface has no carrier.
    NoCarrier,
    /// What the file names is not there.
    Missing,
    /// The file names nothing, and no route leads to the group.
    NoRoute,
    /// The group is link-local, and the other end is on another link.
    Apart,
}

/// An interface in use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    index: u32,
    name: String,
    mtu: u32,
}

impl Spot {
    fn of(interface: &Interface) -> Self {
        Self {
            index: interface.index,
            name: interface.name.clone(),
            mtu: interface.mtu,
        }
    }
}

/// Where the group is joined, or where datagrams leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What the file says; nothing if it leaves the choice to the kernel.
    link: Option<Link>,
    spot: Option<Spot>,
    condition: Condition,
}

/// Both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the group is joined.
    pub incoming: End,
    /// Where datagrams leave.
    pub outgoing: End,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Trouble, and what to do.
    Bad(String),
    /// Its end.
    Good(String),
}

impl Place {
    /// Finds what `config` names. `used` is what was found last: an interface that lost its name or
    /// address goes on being used until another one has it. `chosen` tells the address that the
    /// kernel would send from if it could choose the interface; it is asked only if it can.
    pub fn find(
        config: &NetsocketConfig,
        interfaces: &Interfaces,
        used: Option<&Self>,
        chosen: impl Fn() -> Option<IpAddr>,
    ) -> Self {
        let find = |link: &Option<Link>, used: Option<&End>| match link {
            Some(link) => End::named(link, interfaces, used),
            None => End::chosen(chosen(), interfaces),
        };
        let incoming = find(&config.incoming, used.map(|used| &used.incoming));
        let mut outgoing = find(&config.outgoing, used.map(|used| &used.outgoing));
        if let (Some(one), Some(other)) = (&incoming.spot, &outgoing.spot) {
            if config.needs_scope() && one.index != other.index {
                outgoing.condition = Condition::Apart;
            }
        }
        Self { incoming, outgoing }
    }

    /// Whether the interface of that index is in use.
    pub fn uses(&self, index: u32) -> bool {
        let ends = [&self.incoming, &self.outgoing];
        let mut spots = ends.into_iter().filter_map(|end| end.spot.as_ref());
        spots.any(|spot| spot.index == index)
    }

    /// Whether an end waits for a route, whose coming is not heard of.
    pub fn lacks_route(&self) -> bool {
        self.incoming.lacks_route() || self.outgoing.lacks_route()
    }

    /// Whether a socket would have nothing to do.
    pub fn is_nowhere(&self) -> bool {
        self.incoming.index().is_none() && self.outgoing.index().is_none()
    }

    /// Whether datagrams pass at either end.
    pub fn works(&self) -> bool {
        self.incoming.works() || self.outgoing.works()
    }

    /// Whether a socket that was opened when all was as in `used` should give way to a new one.
    pub fn needs_opening(&self, used: &Self) -> bool {
        let ends = [
            (&self.incoming, &used.incoming),
            (&self.outgoing, &used.outgoing),
        ];
        ends.iter()
            .any(|(end, used)| end.key() != used.key() || end.is_back(used))
    }

    /// Whether datagrams may have been missed between `used` and now.
    pub fn may_have_missed(&self, used: &Self) -> bool {
        let moved = |end: &End, used: &End| {
            let index = |end: &End| end.spot.as_ref().map(|spot| spot.index);
            end.works() && index(end) != index(used)
        };
        let ends = [
            (&self.incoming, &used.incoming),
            (&self.outgoing, &used.outgoing),
        ];
        ends.iter()
            .any(|(end, used)| end.is_back(used) || moved(end, used))
    }

    /// The group, where its datagrams are received and sent.
    pub fn group(&self, config: &NetsocketConfig) -> SocketAddr {
        let scope = self.incoming.index().or(self.outgoing.index());
        let scope = scope.filter(|_| config.needs_scope()).unwrap_or(0);
        match config.group {
            IpAddr::V4(ip) => SocketAddrV4::new(ip, config.port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, config.port, 0, scope).into(),
        }
    }

    /// What an operator should know that was not so in `before`; all that is wrong without that.
    pub fn news(&self, before: Option<&Self>, interfaces: &Interfaces) -> Vec<News> {
        let mut news = Vec::new();
        for (end, before) in [
            (&self.incoming, before.map(|before| &before.incoming)),
            (&self.outgoing, before.map(|before| &before.outgoing)),
        ] {
            let line = end.news(before, interfaces);
            // Most often both ends are one interface.
            news.extend(line.filter(|line| !news.contains(line)));
        }
        news
    }

    /// Why the two ends contradict each other, if they do.
    pub fn contradiction(&self) -> Option<String> {
        (self.outgoing.condition == Condition::Apart)
            .then(|| format!("must name the same link, not {self}"))
    }
}

/// What the ends are called now.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incoming.name() == self.outgoing.name() {
            true => f.write_str(&self.incoming.name()),
            false => write!(f, "{} and {}", self.incoming.name(), self.outgoing.name()),
        }
    }
}

impl End {
    fn named(link: &Link, interfaces: &Interfaces, used: Option<&Self>) -> Self {
        let used = used.filter(|used| used.link.as_ref() == Some(link));
        let index = used.and_then(|used| Some(used.spot.as_ref()?.index));
        let (interface, condition) = match interfaces.find(link, index) {
            Some(interface) => (Some(interface), Condition::Sound),
            None => match index.and_then(|index| interfaces.at(index)) {
                Some(interface) if link.address().is_some() => {
                    (Some(interface), Condition::AddressGone)
                }
                Some(interface) => (Some(interface), Condition::Renamed),
                None => (None, Condition::Missing),
            },
        };
        Self::of(Some(link.clone()), interface, condition)
    }

    /// The interface is only a guess, by which its changes are noticed: whoever has the address
    /// that the kernel would send from.
    fn chosen(source: Option<IpAddr>, interfaces: &Interfaces) -> Self {
        let interface = source.and_then(|source| interfaces.with_address(source));
        match source {
            Some(_) => Self::of(None, interface, Condition::Sound),
            None => Self::of(None, None, Condition::NoRoute),
        }
    }

    fn of(link: Option<Link>, interface: Option<&Interface>, condition: Condition) -> Self {
        Self {
            link,
            spot: interface.map(Spot::of),
            condition: match interface.map(|interface| interface.state) {
                Some(State::Down) => Condition::Down,
                Some(State::NoCarrier) => Condition::NoCarrier,
                Some(State::Up) | None => condition,
            },
        }
    }

    /// The index for system calls, in which 0 leaves the choice to the kernel. Nothing if this end
    /// cannot be used.
    pub fn index(&self) -> Option<u32> {
        match (self.condition, &self.link) {
            (Condition::Missing | Condition::NoRoute | Condition::Apart, _) => None,
            (_, None) => Some(0),
            (_, Some(_)) => self.spot.as_ref().map(|spot| spot.index),
        }
    }

    /// The address by which the file names the interface, if it does.
    pub fn address(&self) -> Option<IpAddr> {
        self.link.as_ref()?.address()
    }

    fn lacks_route(&self) -> bool {
        self.condition == Condition::NoRoute
    }

    /// Whether datagrams pass here.
    pub fn works(&self) -> bool {
        matches!(self.condition, Condition::Sound | Condition::Renamed)
    }

    fn is_back(&self, used: &Self) -> bool {
        self.works() && !used.works()
    }

    /// What a socket depends on.
    fn key(&self) -> impl PartialEq {
        let spot = self.spot.as_ref();
        // With a small MTU, the kernel takes IPv6 off the interface, memberships included.
        (
            self.index(),
            spot.map(|spot| (spot.index, spot.mtu)),
            self.address(),
        )
    }

    /// What the interface is called now, or what the file calls it.
    fn name(&self) -> String {
        match (&self.link, &self.spot) {
            (_, Some(spot)) => spot.name.clone(),
            (Some(link), None) => link.to_string(),
            (None, None) => "the interface that the routes lead to".to_owned(),
        }
    }

    /// What the interface is called now, and what there is to say about it, in a few words.
    pub fn summary(&self) -> String {
        let name = self.name();
        match self.condition {
            Condition::Sound => name,
            Condition::Renamed => format!("{name}, renamed"),
            Condition::AddressGone => format!("{name}, which lost its address"),
            Condition::Down => format!("{name}, down"),
            Condition::NoCarrier => format!("{name}, without carrier"),
            Condition::Missing => format!("{name}, missing"),
            Condition::NoRoute => "no route leads to the group".to_owned(),
            Condition::Apart => format!("{name}, another link than the group's"),
        }
    }

    fn news(&self, before: Option<&Self>, interfaces: &Interfaces) -> Option<News> {
        let before = before.filter(|before| before.link == self.link);
        let was = before.map_or(Condition::Sound, |before| before.condition);
        match self.condition {
            condition if condition == was => None,
            Condition::Sound => Some(News::Good(self.recovery(was))),
            _ => Some(News::Bad(self.trouble(interfaces))),
        }
    }

    fn trouble(&self, interfaces: &Interfaces) -> String {
        let name = self.name();
        let link = self.link.as_ref().map(Link::to_string).unwrap_or_default();
        match self.condition {
            Condition::Sound => String::new(),
            Condition::Renamed => format!(
                "there is no interface \"{link}\" any more; joold goes on with the one that had that \
                 name, which is {name} now: correct the network file, or it is not found after a \
                 restart"
            ),
            Condition::AddressGone => format!(
                "no interface has the address {link} any more; joold stays with {name}, which had \
                 it: give it back (\"ip address add\"), or correct the network file"
            ),
            Condition::Down => format!(
                "{name} is down, and nothing is synchronized over it until it is up: run \"ip link \
                 set {name} up\""
            ),
            Condition::NoCarrier => format!(
                "{name} has no carrier, and nothing is synchronized over it until it has: check the \
                 cable and the device at its other end"
            ),
            Condition::Missing => {
                let what = match self.address() {
                    Some(_) => format!("no interface has the address {link}"),
                    None => format!("there is no interface \"{link}\""),
                };
                format!(
                    "{what}, and nothing is synchronized over it until it is there: create it, or \
                     correct the network file; there are {}",
                    interfaces.describe()
                )
            }
            Condition::NoRoute => "no route leads to the multicast group, and nothing is \
                                   synchronized until one does: name the interfaces in the network \
                                   file (\"in interface\", \"out interface\"), or add a route"
                .to_owned(),
            Condition::Apart => format!(
                "a link-local group is on one link, but the network file names two, the other one \
                 being {name}: nothing is sent until they are one"
            ),
        }
    }

    fn recovery(&self, was: Condition) -> String {
        let name = self.name();
        match (was, &self.link) {
            (Condition::Down | Condition::NoCarrier, _) => format!("{name} is up again"),
            (Condition::NoRoute, _) | (_, None) => {
                "a route leads to the multicast group".to_owned()
            }
            (_, Some(Link::Address { address, .. })) => {
                format!("{name} has the address {address}")
            }
            (_, Some(link)) => format!("the interface {link} is there"),
        }
    }
}

#[cfg(test)]
mod tests;
