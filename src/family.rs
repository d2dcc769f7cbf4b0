//! Jool's generic netlink family, as the controller (`nlctrl`) knows it.
//!
//! The ids are the kernel's choice and change when the module is loaded again.

use std::io;

use neli::consts::genl::{CtrlAttr, CtrlAttrMcastGrp, CtrlCmd, Index};
use neli::consts::nl::{GenlId, NlmF};
use neli::consts::socket::NlFamily;
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder};
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::types::GenlBuffer;

use crate::control::Control;
use crate::failure::Failure;
use crate::wire::jool::{FAMILY, GROUP};

/// The ids that the kernel gave to Jool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The type of the family's messages.
    pub id: u16,
    /// The multicast group that carries session batches.
    pub group: u32,
}

type Question = Nlmsghdr<GenlId, Genlmsghdr<CtrlCmd, CtrlAttr>>;

impl Family {
    /// Asks the controller.
    ///
    /// # Errors
    /// When the module is not loaded, or the kernel cannot be asked.
    pub fn resolve() -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            Failure::system(
                format_args!("cannot ask the kernel for the netlink family \"{FAMILY}\""),
                error,
            )
        };
        let control = Control::open(NlFamily::Generic).map_err(|error| failed(&error))?;
        let question = question().map_err(|error| failed(&error))?;
        match control.ask(question) {
            Ok(answer) => answer.as_ref().and_then(read).ok_or_else(|| {
                Failure::unavailable(format!(
                    "the kernel's netlink family \"{FAMILY}\" has no group \"{GROUP}\"; \
                     expected the module of Jool 4.1 (\"modinfo jool\" tells its version)"
                ))
            }),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Err(Failure::unavailable(
                "Jool's kernel module is not loaded; run \"modprobe jool\" first",
            )),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn question() -> io::Result<Question> {
    let kind = AttrTypeBuilder::default()
        .nla_type(CtrlAttr::FamilyName)
        .build();
    let name = NlattrBuilder::default()
        .nla_type(kind.map_err(io::Error::other)?)
        .nla_payload(FAMILY)
        .build()
        .map_err(io::Error::other)?;
    let request = GenlmsghdrBuilder::default()
        .cmd(CtrlCmd::Getfamily)
        .version(2)
        .attrs(std::iter::once(name).collect::<GenlBuffer<_, _>>())
        .build()
        .map_err(io::Error::other)?;
    NlmsghdrBuilder::default()
        .nl_type(GenlId::Ctrl)
        .nl_flags(NlmF::REQUEST)
        .nl_payload(NlPayload::Payload(request))
        .build()
        .map_err(io::Error::other)
}

fn read(answer: &Question) -> Option<Family> {
    let attributes = answer.get_payload()?.attrs().get_attr_handle();
    let id = attributes
        .get_attr_payload_as::<u16>(CtrlAttr::FamilyId)
        .ok()?;
    let groups = attributes
        .get_nested_attributes::<Index>(CtrlAttr::McastGroups)
        .ok()?;
    let group = groups.iter().find_map(|group| {
        let group = group.get_attr_handle::<CtrlAttrMcastGrp>().ok()?;
        let name = group
            .get_attr_payload_as_with_len::<String>(CtrlAttrMcastGrp::Name)
            .ok()?;
        let id = group
            .get_attr_payload_as::<u32>(CtrlAttrMcastGrp::Id)
            .ok()?;
        (name == GROUP).then_some(id)
    })?;
    Some(Family { id, group })
}
