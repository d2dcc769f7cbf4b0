//! Jool's generic netlink family, as the controller (`nlctrl`) knows it.
//!
//! The ids are the kernel's choice and change when the module is loaded again.

use std::io;

use neli::consts::socket::NlFamily;

use crate::control::{Control, malformed};
use crate::failure::Failure;
use crate::wire::controller::{self, Description};
use crate::wire::generic;
use crate::wire::jool::{FAMILY, GROUP};

/// The ids that the kernel gave to Jool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The type of the family's messages.
    pub id: u16,
    /// The multicast group that carries session batches.
    pub group: u32,
}

impl Family {
    /// Asks the controller.
    ///
    /// # Errors
    /// When the module is not loaded, or the kernel cannot be asked.
    pub fn resolve() -> Result<Self, Failure> {
        match ask() {
            Ok(family) => family.ok_or_else(|| {
                Failure::unavailable(format!(
                    "the kernel's netlink family \"{FAMILY}\" has no group \"{GROUP}\"; \
                     expected the module of Jool 4.1 (\"modinfo jool\" tells its version)"
                ))
            }),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Err(Failure::unavailable(
                "Jool's kernel module is not loaded; run \"modprobe jool\" first",
            )),
            Err(error) => Err(Failure::system(
                format_args!("cannot ask the kernel for the netlink family \"{FAMILY}\""),
                &error,
            )),
        }
    }

    /// Nothing if the family lacks the group.
    fn of(description: &Description<'_>) -> Option<Self> {
        let group = description
            .groups()
            .find(|group| group.name == GROUP.as_bytes())?;
        Some(Self {
            id: description.id(),
            group: group.id,
        })
    }
}

fn ask() -> io::Result<Option<Family>> {
    let answers = Control::open(NlFamily::Generic)?.ask(controller::question(FAMILY))?;
    let Some(answer) = answers.of_kind(controller::ID).next() else {
        return Ok(None);
    };
    let description = generic::Message::new_checked(answer).and_then(Description::new_checked);
    Ok(Family::of(&description.map_err(malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_family_without_the_group_is_another_one() {
        let message = netlink::Message::new_checked(&crate::wire::samples::CONTROLLER).unwrap();
        let message = generic::Message::new_checked(message).unwrap();
        let description = Description::new_checked(message).unwrap();
        assert_eq!(Family::of(&description), None);
    }
}
