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
mod tests {
    use super::*;
    use crate::config::{Document, Surroundings};

    fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            alternatives: Vec::new(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            state: State::Up,
            mtu: 1500,
        }
    }

    fn in_state(state: State, interface: Interface) -> Interface {
        Interface { state, ..interface }
    }

    fn config(group: &str, interfaces: &str) -> NetsocketConfig {
        let text =
            format!(r#"{{"multicast address": "{group}", "multicast port": 6464{interfaces}}}"#);
        let document = Document::parse("netsocket.json".to_owned(), text.as_bytes()).unwrap();
        let surroundings = Surroundings { host: |_| None };
        let (config, _) = NetsocketConfig::from_document(document, &surroundings).unwrap();
        config
    }

    fn both(link: &str) -> NetsocketConfig {
        let both = format!(r#", "in interface": "{link}", "out interface": "{link}""#);
        config("ff08::db8:64:64", &both)
    }

    fn nobody() -> Option<IpAddr> {
        panic!("the kernel has no choice")
    }

    /// One look after the other: at each, the place, and the news.
    fn looks(config: &NetsocketConfig, looks: &[&[Interface]]) -> Vec<(Place, Vec<News>)> {
        let mut all: Vec<(Place, Vec<News>)> = Vec::new();
        for interfaces in looks {
            let interfaces = Interfaces::of(interfaces.to_vec());
            let used = all.last().map(|(place, _)| place);
            let place = Place::find(config, &interfaces, used, nobody);
            let news = place.news(used, &interfaces);
            all.push((place, news));
        }
        all
    }

    fn indices(looks: &[(Place, Vec<News>)]) -> Vec<Option<u32>> {
        looks
            .iter()
            .map(|(place, _)| place.outgoing.index())
            .collect()
    }

    /// Those of each look, by what they begin with: `!` for trouble.
    fn told(looks: &[(Place, Vec<News>)]) -> Vec<Vec<String>> {
        let short = |news: &News| match news {
            News::Bad(text) => format!("!{text}"),
            News::Good(text) => text.clone(),
        };
        let all = looks.iter().map(|(_, news)| news);
        all.map(|news| news.iter().map(short).collect()).collect()
    }

    #[test]
    fn an_interface_that_comes_goes_and_comes_again_is_told_once_each_time() {
        let looks = looks(
            &both("eth0"),
            &[
                &[],
                &[],
                &[interface(2, "eth0", &[])],
                &[interface(2, "eth0", &[])],
                &[],
                &[interface(7, "eth0", &[])],
            ],
        );
        assert_eq!(
            indices(&looks),
            [None, None, Some(2), Some(2), None, Some(7)]
        );
        let told = told(&looks);
        assert!(told[0][0].starts_with("!there is no interface \"eth0\", and nothing"));
        assert_eq!(
            told.iter().map(Vec::len).collect::<Vec<_>>(),
            [1, 0, 1, 0, 1, 1]
        );
        assert_eq!(told[2], ["the interface eth0 is there"]);
        assert!(looks[0].0.is_nowhere() && !looks[2].0.is_nowhere());
        assert!(looks[5].0.needs_opening(&looks[4].0) && looks[5].0.may_have_missed(&looks[4].0));
    }

    #[test]
    fn a_new_interface_of_the_same_name_is_another_place_even_if_the_gap_was_not_seen() {
        let looks = looks(
            &both("eth0"),
            &[&[interface(2, "eth0", &[])], &[interface(7, "eth0", &[])]],
        );
        let (new, old) = (&looks[1].0, &looks[0].0);
        assert!(new.needs_opening(old) && new.may_have_missed(old));
        assert!(!old.needs_opening(old) && !old.may_have_missed(old));
    }

    #[test]
    fn a_renamed_interface_is_used_until_another_has_its_name() {
        let looks = looks(
            &both("eth0"),
            &[
                &[interface(2, "eth0", &[])],
                &[interface(2, "lan0", &[])],
                &[interface(2, "lan0", &[])],
                &[interface(2, "lan0", &[]), interface(5, "eth0", &[])],
                &[interface(2, "eth0", &[])],
            ],
        );
        assert_eq!(
            indices(&looks),
            [Some(2), Some(2), Some(2), Some(5), Some(2)]
        );
        let told = told(&looks);
        assert!(told[1][0].contains("which is lan0 now"), "{told:?}");
        assert_eq!(
            told.iter().map(Vec::len).collect::<Vec<_>>(),
            [0, 1, 0, 1, 0]
        );
        assert!(!looks[1].0.needs_opening(&looks[0].0));
        assert!(looks[3].0.needs_opening(&looks[2].0));
    }

    #[test]
    fn an_interface_by_address_follows_the_address() {
        let address = "192.0.2.1";
        let looks = looks(
            &both(address),
            &[
                &[interface(2, "eth0", &[address]), interface(3, "eth1", &[])],
                &[interface(2, "eth0", &[]), interface(3, "eth1", &[])],
                &[interface(2, "eth0", &[address]), interface(3, "eth1", &[])],
                &[
                    interface(2, "eth0", &[address]),
                    interface(3, "eth1", &[address]),
                ],
                &[interface(2, "eth0", &[]), interface(3, "eth1", &[address])],
            ],
        );
        assert_eq!(
            indices(&looks),
            [Some(2), Some(2), Some(2), Some(2), Some(3)]
        );
        let told = told(&looks);
        assert!(told[1][0].starts_with("!no interface has the address 192.0.2.1 any more"));
        assert_eq!(told[2], ["eth0 has the address 192.0.2.1"]);
        let again = |n: usize| looks[n].0.needs_opening(&looks[n - 1].0);
        assert_eq!([1, 2, 3, 4].map(again), [false, true, false, true]);
    }

    #[test]
    fn an_interface_that_was_down_is_used_anew() {
        let eth0 = || interface(2, "eth0", &[]);
        let looks = looks(
            &both("eth0"),
            &[
                &[eth0()],
                &[in_state(State::Down, eth0())],
                &[in_state(State::NoCarrier, eth0())],
                &[eth0()],
            ],
        );
        let told = told(&looks);
        assert!(
            told[1][0].contains("run \"ip link set eth0 up\""),
            "{told:?}"
        );
        assert!(told[2][0].contains("no carrier"), "{told:?}");
        assert_eq!(told[3], ["eth0 is up again"]);
        let again = |n: usize| looks[n].0.needs_opening(&looks[n - 1].0);
        assert_eq!([1, 2, 3].map(again), [false, false, true]);
        assert!(looks[3].0.may_have_missed(&looks[2].0));
    }

    #[test]
    fn another_mtu_needs_a_new_socket_and_is_no_gap() {
        let mut small = interface(2, "eth0", &[]);
        small.mtu = 1400;
        let looks = looks(&both("eth0"), &[&[interface(2, "eth0", &[])], &[small]]);
        assert!(looks[1].0.needs_opening(&looks[0].0));
        assert!(!looks[1].0.may_have_missed(&looks[0].0));
    }

    #[test]
    fn one_end_is_used_while_the_other_is_missing() {
        let config = config(
            "ff08::1",
            r#", "in interface": "eth0", "out interface": "eth1""#,
        );
        let looks = looks(&config, &[&[interface(2, "eth0", &[])]]);
        let place = &looks[0].0;
        assert_eq!(
            (place.incoming.index(), place.outgoing.index()),
            (Some(2), None)
        );
        assert!(!place.is_nowhere());
        assert_eq!(looks[0].1.len(), 1);
    }

    #[test]
    fn a_link_local_group_takes_its_scope_from_its_link_and_a_wide_one_has_none() {
        let interfaces = [interface(3, "eth1", &[])];
        let group = |config: &NetsocketConfig| looks(config, &[&interfaces])[0].0.group(config);
        let narrow = config("ff02::db8:64:64", r#", "in interface": "eth1""#);
        assert_eq!(group(&narrow), "[ff02::db8:64:64%3]:6464".parse().unwrap());
        assert_eq!(
            group(&both("eth1")),
            "[ff08::db8:64:64]:6464".parse().unwrap()
        );
    }

    #[test]
    fn a_link_local_group_on_two_links_is_a_contradiction() {
        let config = config(
            "ff02::1",
            r#", "in interface": "eth0", "out interface": "eth1""#,
        );
        let all = [interface(2, "eth0", &[]), interface(3, "eth1", &[])];
        let mut lan = interface(4, "lan0", &[]);
        lan.alternatives = vec!["eth0".to_owned(), "eth1".to_owned()];
        let looks = looks(&config, &[&all, &[lan]]);
        assert_eq!(
            looks[0].0.contradiction().unwrap(),
            "must name the same link, not eth0 and eth1"
        );
        assert_eq!(looks[0].0.outgoing.index(), None);
        assert_eq!(
            (looks[1].0.contradiction(), looks[1].0.outgoing.index()),
            (None, Some(4))
        );
    }

    #[test]
    fn the_kernels_choice_is_followed_by_the_address_that_it_sends_from() {
        let config = config("ff08::1", "");
        let source: IpAddr = "2001:db8::1".parse().unwrap();
        let find = |index, chosen| {
            let interfaces = Interfaces::of(vec![interface(index, "eth0", &["2001:db8::1"])]);
            let place = Place::find(&config, &interfaces, None, || chosen);
            let news = place.news(None, &interfaces);
            (place, news)
        };
        let (first, news) = find(2, Some(source));
        assert_eq!((first.incoming.index(), news.len()), (Some(0), 0));
        assert!(!find(2, Some(source)).0.needs_opening(&first));
        assert!(find(7, Some(source)).0.needs_opening(&first));
        let (none, news) = find(2, None);
        assert!(none.is_nowhere());
        assert_eq!(news.len(), 1, "both ends have the same trouble: {news:?}");
    }
}
