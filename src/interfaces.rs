//! The network interfaces of this namespace, as rtnetlink(7) lists them.

use std::io;
use std::net::IpAddr;
use std::str;

use neli::consts::socket::NlFamily;

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
        })
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

    fn read(links: &Answers, addresses: &Answers) -> io::Result<Self> {
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

    /// The interface of that name, or of that alternative name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.all.iter().find(|interface| {
            interface.name == name || interface.alternatives.iter().any(|other| other == name)
        })
    }

    /// The interface that has that address; the one called `zone`, if that is given.
    pub fn with_address(&self, address: IpAddr, zone: Option<&str>) -> Option<&Interface> {
        self.all
            .iter()
            .filter(|interface| zone.is_none_or(|zone| interface.name == zone))
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
        assert_eq!(interfaces.named("lo").unwrap().index, 1);
        assert_eq!(interfaces.at(1).unwrap().name, "lo");
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
            };
            assert_eq!(interfaces.all, [expected]);
            assert_eq!(interfaces.named("enp1s0").unwrap().index, 3);
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
