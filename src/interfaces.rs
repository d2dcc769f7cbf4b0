//! The network interfaces of this namespace, as rtnetlink(7) lists them.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, Ifla, RtAddrFamily, RtScope, Rtm};
use neli::consts::socket::NlFamily;
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::rtnl::{Ifaddrmsg, IfaddrmsgBuilder, Ifinfomsg, IfinfomsgBuilder, Rtattr};
use neli::types::Buffer;

use crate::control::Control;
use crate::wire::netlink::{Attributes, FLAG_NESTED};

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
        let control = Control::open(NlFamily::Route)?;
        let mut all = links(&control)?;
        for (index, address) in addresses(&control)? {
            if let Some(interface) = all.iter_mut().find(|interface| interface.index == index) {
                interface.addresses.push(address);
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

fn links(control: &Control) -> io::Result<Vec<Interface>> {
    let request = IfinfomsgBuilder::default()
        .ifi_family(RtAddrFamily::Unspecified)
        .build()
        .map_err(io::Error::other)?;
    let answers: Vec<Nlmsghdr<Rtm, Ifinfomsg>> = control.dump(dump(Rtm::Getlink, request)?)?;
    let mut all = Vec::new();
    for link in answers.iter().filter_map(Nlmsghdr::get_payload) {
        let name = link
            .rtattrs()
            .get_attr_handle()
            .get_attr_payload_as_with_len::<String>(Ifla::Ifname);
        if let (Ok(name), Ok(index)) = (name, u32::try_from(*link.ifi_index())) {
            all.push(Interface {
                index,
                name,
                alternatives: alternatives(link),
                addresses: Vec::new(),
            });
        }
    }
    Ok(all)
}

/// Linux lists them since 5.5, in attributes that neli does not know by name.
fn alternatives(link: &Ifinfomsg) -> Vec<String> {
    const IFLA_PROP_LIST: u16 = 52;
    const IFLA_ALT_IFNAME: u16 = 53;
    link.rtattrs()
        .iter()
        .filter(|attribute| number(attribute) == IFLA_PROP_LIST)
        .flat_map(|list| Attributes::new(list.rta_payload().as_ref()).map_while(Result::ok))
        .filter(|property| property.number == IFLA_ALT_IFNAME)
        .filter_map(|property| {
            CStr::from_bytes_until_nul(property.value)
                .ok()?
                .to_str()
                .ok()
        })
        .map(str::to_owned)
        .collect()
}

/// An attribute's number, without the flag that it holds others.
fn number(attribute: &Rtattr<Ifla, Buffer>) -> u16 {
    u16::from(*attribute.rta_type()) & !FLAG_NESTED
}

fn addresses(control: &Control) -> io::Result<Vec<(u32, IpAddr)>> {
    let request = IfaddrmsgBuilder::default()
        .ifa_family(RtAddrFamily::Unspecified)
        .ifa_prefixlen(0)
        .ifa_scope(RtScope::Universe)
        .ifa_index(0)
        .build()
        .map_err(io::Error::other)?;
    let answers: Vec<Nlmsghdr<Rtm, Ifaddrmsg>> = control.dump(dump(Rtm::Getaddr, request)?)?;
    Ok(answers
        .iter()
        .filter_map(Nlmsghdr::get_payload)
        .filter_map(|entry| Some((*entry.ifa_index(), own_address(entry)?)))
        .collect())
}

/// On a point-to-point link `IFA_ADDRESS` is the far end, and `IFA_LOCAL` ours (rtnetlink(7)).
fn own_address(entry: &Ifaddrmsg) -> Option<IpAddr> {
    let attributes = entry.rtattrs().get_attr_handle();
    let value = [Ifa::Local, Ifa::Address]
        .into_iter()
        .find_map(|kind| attributes.get_attribute(kind))
        .map(|attribute| attribute.rta_payload().as_ref())?;
    match value.len() {
        4 => <[u8; 4]>::try_from(value)
            .ok()
            .map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(value)
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn dump<P: neli::Size>(kind: Rtm, request: P) -> io::Result<Nlmsghdr<Rtm, P>> {
    NlmsghdrBuilder::default()
        .nl_type(kind)
        .nl_flags(NlmF::REQUEST | NlmF::DUMP)
        .nl_payload(NlPayload::Payload(request))
        .build()
        .map_err(io::Error::other)
}
