//! The network interfaces of this namespace, as rtnetlink(7) lists them.

use std::io;
use std::net::IpAddr;
use std::str;

use neli::consts::socket::NlFamily;

use crate::config::Link as Named;
use crate::control::{Answers, Control, malformed};
use crate::wire::address::{self, Address};
use crate::wire::link::{self, Link};

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The index by which the kernel knows it.
    pub index: u32,
    /// The name by which people know it.
    pub name: String,
    /// Other names that it goes by (`ip link property add ... altname`).
    pub alternatives: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it passes packets.
    pub state: State,
    /// The longest packet that it carries, in bytes; 0 if the kernel does not tell.
    pub mtu: u32,
}

/// Whether an interface passes packets, by `IFF_UP` and `IFF_RUNNING` of netdevice(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Up,
    /// It would, but there is no carrier.
    NoCarrier,
    /// It was not told to.
    Down,
}

impl State {
    fn of(flags: u32) -> Self {
        match (
            flags & libc::IFF_UP as u32 != 0,
            flags & libc::IFF_RUNNING as u32 != 0,
        ) {
            (true, true) => Self::Up,
            (true, false) => Self::NoCarrier,
            (false, _) => Self::Down,
        }
    }
}

impl Interface {
    /// A link, without its addresses. Nothing if no file of ours can name it, for it is not UTF-8.
    fn of(link: &Link<'_>) -> Option<Self> {
        let text = |name| str::from_utf8(name).ok().map(str::to_owned);
        Some(Self {
            index: link.index(),
            name: text(link.name())?,
            alternatives: link.alternatives().filter_map(text).collect(),
            addresses: Vec::new(),
            state: State::of(link.flags()),
            mtu: link.mtu().unwrap_or_default(),
        })
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alternatives.iter().any(|other| other == name)
    }

    /// Whether it is one that `link` means.
    fn is(&self, link: &Named) -> bool {
        let in_zone = |zone: &str| self.is_called(zone) || zone.parse() == Ok(self.index);
        match link {
            Named::Name(name) => self.is_called(name),
            Named::Index(index) => self.index == *index,
            Named::Address { address, zone } => {
                self.addresses.contains(address) && zone.as_deref().is_none_or(in_zone)
            }
        }
    }
}

/// All interfaces.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    all: Vec<Interface>,
}

impl Interfaces {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When the kernel cannot be asked, or does not answer.
    pub fn list() -> io::Result<Self> {
        let mut control = Control::open(NlFamily::Route)?;
        let links = control.dump(link::list())?;
        let addresses = control.dump(address::list())?;
        Self::read(&links, &addresses)
    }

    /// What the kernel's lists of links and of addresses say.
    ///
    /// # Errors
    /// When one of their messages is malformed.
    pub fn read(links: &Answers, addresses: &Answers) -> io::Result<Self> {
        let mut all = Vec::new();
        for link in links.of_kind(link::NEW) {
            all.extend(Interface::of(&Link::new_checked(link).map_err(malformed)?));
        }
        for address in addresses.of_kind(address::NEW) {
            let address = Address::new_checked(address).map_err(malformed)?;
            if let Some(interface) = all
                .iter_mut()
                .find(|interface| interface.index == address.index())
            {
                interface.addresses.extend(address.own());
            }
        }
        Ok(Self { all })
    }

    /// For tests: these and no others.
    pub fn of(all: Vec<Interface>) -> Self {
        Self { all }
    }

    /// The interface of that index.
    pub fn at(&self, index: u32) -> Option<&Interface> {
        self.all.iter().find(|interface| interface.index == index)
    }

    /// The interface that `link` means. If an address is on several, the one with the index
    /// `preferred` comes first.
    pub fn find(&self, link: &Named, preferred: Option<u32>) -> Option<&Interface> {
        let preferred = preferred.and_then(|index| self.at(index));
        let all = preferred.into_iter().chain(&self.all);
        all.into_iter().find(|interface| interface.is(link))
    }

    /// The interface that has that address.
    pub fn with_address(&self, address: IpAddr) -> Option<&Interface> {
        self.all
            .iter()
            .find(|interface| interface.addresses.contains(&address))
    }

    /// What there is, for an error's end.
    pub fn describe(&self) -> String {
        const MOST: usize = 10;
        let each = |interface: &Interface| {
            let addresses: Vec<_> = interface
                .addresses
                .iter()
                .take(MOST)
                .map(IpAddr::to_string)
                .collect();
            match addresses.is_empty() {
                true => interface.name.clone(),
                false => format!("{} ({})", interface.name, addresses.join(", ")),
            }
        };
        let mut text = self
            .all
            .iter()
            .take(MOST)
            .map(each)
            .collect::<Vec<_>>()
            .join(", ");
        if self.all.len() > MOST {
            text += &format!(" and {} more", self.all.len() - MOST);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let interfaces = Interfaces::list().unwrap();
        let lo = interfaces.find(&named("lo"), None).unwrap();
        assert_eq!((lo.index, lo), (1, interfaces.at(1).unwrap()));
        assert!(lo.mtu >= 1280);
    }

    #[test]
    fn an_address_on_two_interfaces_is_told_apart_by_its_zone_or_by_what_is_preferred() {
        let interface = |index, name: &str| Interface {
            index,
            name: name.to_owned(),
            alternatives: Vec::new(),
            addresses: vec!["fe80::1".parse().unwrap()],
            state: State::Up,
            mtu: 1500,
        };
        let interfaces = Interfaces::of(vec![interface(2, "eth0"), interface(3, "eth1")]);
        let find = |text, preferred| {
            let found = interfaces.find(&Named::parse(text).unwrap(), preferred);
            found.map(|interface| interface.index)
        };
        for (text, preferred, expected) in [
            ("fe80::1%eth1", None, Some(3)),
            ("fe80::1%3", None, Some(3)),
            ("fe80::1%eth1", Some(2), Some(3)),
            ("fe80::1", None, Some(2)),
            ("fe80::1", Some(3), Some(3)),
            ("fe80::1", Some(9), Some(2)),
            ("fe80::2", Some(3), None),
            ("fe80::1%eth2", None, None),
        ] {
            assert_eq!(find(text, preferred), expected, "{text} {preferred:?}");
        }
    }

    #[test]
    fn an_interface_that_is_up_without_a_carrier_does_not_run() {
        let (up, running) = (libc::IFF_UP as u32, libc::IFF_RUNNING as u32);
        let states = [up | running, up, running, 0].map(State::of);
        assert_eq!(
            states,
            [State::Up, State::NoCarrier, State::Down, State::Down]
        );
    }

    fn named(name: &str) -> Named {
        Named::Name(name.to_owned())
    }

    #[cfg(target_endian = "little")]
    mod samples {
        use super::*;
        use crate::wire::samples::{ADDRESS4, ADDRESS6, LINK, SEQUENCE};

        fn read(links: &[&[u8]], addresses: &[&[u8]]) -> io::Result<Interfaces> {
            let list = |messages| Answers::list(messages, SEQUENCE);
            Interfaces::read(&list(links), &list(addresses))
        }

        #[test]
        fn a_link_and_its_addresses_are_an_interface() {
            let interfaces = read(&[&LINK], &[&ADDRESS4, &ADDRESS6]).unwrap();
            let expected = Interface {
                index: 3,
                name: "eth0".into(),
                alternatives: vec!["enp1s0".into(), "an-alternative-name".into()],
                addresses: ["192.0.2.1", "2001:db8::1"]
                    .map(|text| text.parse().unwrap())
                    .into(),
                state: State::Down,
                mtu: 1500,
            };
            assert_eq!(interfaces.all, [expected]);
            assert_eq!(interfaces.find(&named("enp1s0"), None).unwrap().index, 3);
        }

        #[test]
        fn an_address_of_a_link_that_has_just_come_is_nobodys() {
            assert!(read(&[], &[&ADDRESS4]).unwrap().all.is_empty());
        }

        #[test]
        fn a_link_whose_name_no_file_can_have_is_left_out() {
            let mut strange = LINK;
            let name = LINK.windows(4).position(|bytes| bytes == b"eth0").unwrap();
            strange[name] = 0xff;
            let interfaces = read(&[&strange, &LINK], &[]).unwrap();
            assert_eq!(interfaces.all.len(), 1);
            assert_eq!(interfaces.all[0].name, "eth0");
        }

        #[test]
        fn a_malformed_link_is_an_error_in_words() {
            let mut nameless = LINK;
            let name = LINK.windows(4).position(|bytes| bytes == b"eth0").unwrap();
            nameless[name - 2] = 0xff;
            assert_eq!(
                read(&[&nameless], &[]).unwrap_err().to_string(),
                "the kernel's answer has no name of a link"
            );
        }
    }
}
