//! Questions to the served instance: what its globals and statistics are, and orders to change the
//! former. The kernel tells of nothing here by itself, so it is asked now and then.

use std::io;

use neli::consts::socket::NlFamily;

use crate::control::{Control, malformed};
use crate::wire::globals::Global;
use crate::wire::instance::{Refusal, Snapshot};
use crate::wire::jool::{Command, Message, flag, root};
use crate::wire::netlink::{self, Attribute, FLAG_NESTED};
use crate::wire::request::{self, Address};

/// More pages than any answer has.
const PAGES: usize = 64;

/// What came of a request: an answer, or the module's refusal.
pub type Answered<T> = Result<T, Refusal>;

/// Where the instance is asked.
pub struct Instance {
    control: Control,
}

impl Instance {
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            control: Control::open(NlFamily::Generic)?,
        })
    }

    /// Asks for globals and statistics.
    ///
    /// # Errors
    /// When the kernel cannot be asked; `ENOENT` when there is no such family (any more).
    pub fn look(&mut self, address: &Address) -> io::Result<Answered<Snapshot>> {
        let mut state = Snapshot::default();
        let globals = |attribute: &Attribute<'_>| state.globals.take(attribute);
        if let Err(refusal) = self.list(address, Command::GlobalForeach, globals)? {
            return Ok(Err(refusal));
        }
        let statistics = |attribute: &Attribute<'_>| state.statistics.take(attribute);
        let listed = self.list(address, Command::StatsForeach, statistics)?;
        Ok(listed.map(|()| state))
    }

    /// Changes globals: all of them, or none.
    ///
    /// # Errors
    /// As [`Instance::look`].
    pub fn set(&mut self, address: &Address, values: &[(Global, u32)]) -> io::Result<Answered<()>> {
        let mut container = Vec::new();
        for &(global, value) in values {
            global.put(value, &mut container);
        }
        let question = request::question(address, Command::GlobalUpdate)
            .with(root::GLOBALS | FLAG_NESTED, &container);
        self.ask(address, question, |_| Ok(()))
    }

    /// Lists whatever that command lists, page by page.
    fn list(
        &mut self,
        address: &Address,
        command: Command,
        mut take: impl FnMut(&Attribute<'_>),
    ) -> io::Result<Answered<()>> {
        let mut last = None;
        for _ in 0..PAGES {
            let mut question = request::question(address, command);
            if let Some(last) = last {
                question = question.with(root::OFFSET_U8, &[last]);
            }
            let listed = self.ask(address, question, |message| {
                for attribute in message.attributes() {
                    let attribute = attribute.map_err(malformed)?;
                    last = u8::try_from(attribute.number).ok();
                    take(&attribute);
                }
                Ok(message.flags() & flag::MORE != 0)
            })?;
            match listed {
                Ok(true) => (),
                Ok(false) => return Ok(Ok(())),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(io::Error::other("the kernel's list does not end"))
    }

    /// What `read` makes of the one answer to a question.
    fn ask<T>(
        &mut self,
        address: &Address,
        question: netlink::Question,
        read: impl FnOnce(&Message<'_>) -> io::Result<T>,
    ) -> io::Result<Answered<T>> {
        let answers = self.control.ask(question)?;
        let Some(answer) = answers.of_kind(address.family).next() else {
            return Err(io::Error::other("the kernel's answer is not Jool's"));
        };
        let message = Message::new_checked(answer).map_err(malformed)?;
        if let Some((code, text)) = message.error() {
            return Ok(Err(Refusal {
                code: code.into(),
                text: text.to_vec(),
            }));
        }
        read(&message).map(Ok)
    }
}
