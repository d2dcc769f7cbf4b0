//! Jool's generic netlink family, as the controller (`nlctrl`) knows it.
//!
//! The ids are the kernel's choice and change when the module is loaded again, of which the
//! controller tells its group `notify`.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use socket2::Socket;

use crate::control::{Control, malformed};
use crate::sys;
use crate::wire::controller::{self, Description};
use crate::wire::generic;
use crate::wire::jool::{FAMILY, GROUP, Version};
use crate::wire::netlink::{self, Messages};

/// The controller's group that hears of families.
const NEWS: &str = "notify";

/// Longer than any description of a family that has Jool's name; what does not fit is news as well.
const LONGEST: usize = 4096;

/// How many news are read at a time.
const BUDGET: usize = 64;

/// The ids that the kernel gave to Jool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The type of the family's messages.
    pub id: u16,
    /// The multicast group that carries session batches.
    pub group: u32,
}

/// What became of the question for the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Family(Family),
    /// The module is not loaded.
    Nothing,
    /// There is a family of that name, but it has no group `joold`.
    Stranger,
}

impl Found {
    /// The type of the family's messages, if it is there.
    pub fn id(&self) -> Option<u16> {
        match self {
            Self::Family(family) => Some(family.id),
            Self::Nothing | Self::Stranger => None,
        }
    }

    /// What the description of a family with Jool's name shows.
    pub fn of(description: &Description<'_>) -> Self {
        let group = description
            .groups()
            .find(|group| group.name == GROUP.as_bytes());
        match group {
            Some(group) => Self::Family(Family {
                id: description.id(),
                group: group.id,
            }),
            None => Self::Stranger,
        }
    }
}

/// Where the family is asked for, and where its coming and going is heard.
pub struct Controller {
    control: Control,
    news: Socket,
}

impl Controller {
    /// From here on, news wait until they are read.
    ///
    /// # Errors
    /// When the kernel gives no such sockets, or does not answer.
    pub fn open() -> io::Result<Self> {
        let mut control = Control::open(NlFamily::Generic)?;
        let group = group_of_news(&mut control)?;
        let news = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        news.nonblock()?;
        let news = sys::into_socket(news);
        sys::join_netlink_group(&news, group)?;
        Ok(Self { control, news })
    }

    /// Asks for the family.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn find(&mut self) -> io::Result<Found> {
        match ask(&mut self.control, FAMILY, Found::of) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Found::Nothing),
            result => Ok(result?.unwrap_or(Found::Nothing)),
        }
    }

    /// Reads the news; tells whether they are about the family, or may have been: what was lost
    /// cannot be known.
    pub fn has_news(&self) -> bool {
        let mut room = [0; LONGEST];
        let mut about_us = false;
        for _ in 0..BUDGET {
            match sys::receive_netlink(&self.news, &mut room) {
                Ok(receipt) if receipt.port != sys::KERNEL => {}
                Ok(receipt) => {
                    about_us |= receipt.truncated || names_us(&room[..receipt.length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return about_us,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => about_us = true,
            }
        }
        // More than a budget of news: whatever they are, asking costs little.
        true
    }
}

impl AsRawFd for Controller {
    /// Of the news.
    fn as_raw_fd(&self) -> RawFd {
        self.news.as_raw_fd()
    }
}

/// The version of the module that is loaded, as the system tells it: its messages do so only with
/// the first batch.
pub fn module_version() -> Option<Version> {
    ["jool", "jool_common"].iter().find_map(|module| {
        let text = fs::read_to_string(format!("/sys/module/{module}/version")).ok()?;
        text.trim().parse().ok()
    })
}

fn group_of_news(control: &mut Control) -> io::Result<u32> {
    let found = ask(control, "nlctrl", |description| {
        let mut groups = description.groups();
        let group = groups.find(|group| group.name == NEWS.as_bytes());
        group.map(|group| group.id)
    })?;
    let missing = || io::Error::other(format!("the controller has no group \"{NEWS}\""));
    found.flatten().ok_or_else(missing)
}

/// What `read` makes of the description of one family.
fn ask<T>(
    control: &mut Control,
    family: &str,
    read: impl FnOnce(&Description<'_>) -> T,
) -> io::Result<Option<T>> {
    let answers = control.ask(controller::question(family))?;
    let Some(answer) = answers.of_kind(controller::ID).next() else {
        return Ok(None);
    };
    Ok(Some(read(&describe(answer).map_err(malformed)?)))
}

fn describe(message: netlink::Message<'_>) -> Result<Description<'_>, crate::wire::Malformed> {
    generic::Message::new_checked(message).and_then(Description::new_checked)
}

/// Whether one of the controller's messages in `datagram` is about Jool's family.
pub fn names_us(datagram: &[u8]) -> bool {
    Messages::new(datagram)
        .map_while(Result::ok)
        .filter_map(|message| describe(message).ok())
        .any(|description| description.name() == FAMILY.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_family_without_the_group_is_another_one() {
        let message = netlink::Message::new_checked(&crate::wire::samples::CONTROLLER).unwrap();
        let description = describe(message).unwrap();
        assert_eq!(Found::of(&description), Found::Stranger);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn news_of_other_families_are_none() {
        assert!(!names_us(&crate::wire::samples::CONTROLLER));
        let mut ours = crate::wire::samples::CONTROLLER;
        let name = ours.windows(7).position(|name| name == b"nlctrl\0");
        ours[name.unwrap()..][..7].copy_from_slice(b"Jool\0\0\0");
        assert!(names_us(&ours));
    }

    #[test]
    fn a_real_controller_has_a_group_for_news_and_none_at_first() {
        let controller = Controller::open().unwrap();
        assert!(!controller.has_news());
    }
}
