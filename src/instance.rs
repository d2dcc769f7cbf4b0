//! Questions to the served instance: what its globals, its statistics and its sessions are, and
//! orders to change the first. The kernel tells of nothing here by itself, so it is asked now and then.

use std::io;

use neli::consts::socket::NlFamily;

use crate::control::{Control, malformed};
use crate::wire::globals::Global;
use crate::wire::instance::{Refusal, STATUS, Snapshot};
use crate::wire::jool::{Command, Message, flag, root};
use crate::wire::netlink::{self, Attribute, FLAG_NESTED};
use crate::wire::page::{Key, Page};
use crate::wire::pool4::{self, Pool4};
use crate::wire::request::{self, Address};
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

/// More pages than any answer has, but for those of a very large pool4: some 13,000 addresses.
const PAGES: usize = 256;

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

    /// Asks whether the instance is there. Unlike any other question about one that is not, this
    /// leaves no line in the kernel's log.
    ///
    /// # Errors
    /// As [`Instance::look`].
    pub fn is_there(&mut self, address: &Address) -> io::Result<Answered<bool>> {
        let question = request::question(address, Command::InstanceHello);
        self.ask(address, question, |message| {
            let status = message.attributes().find(STATUS);
            Ok(status.and_then(|status| status.u8()) == Some(0))
        })
    }

    /// Asks for globals and statistics, and for pool4 if that is wanted.
    ///
    /// # Errors
    /// When the kernel cannot be asked; `ENOENT` when there is no such family (any more).
    pub fn look(&mut self, address: &Address, pool4: bool) -> io::Result<Answered<Snapshot>> {
        let mut snapshot = Snapshot::default();
        // A new instance is known by its statistics. If it comes between the two questions, the next look
        // finds it, and configures it; the other way round, it would have passed for configured.
        let statistics = |attribute: &Attribute<'_>| snapshot.statistics.take(attribute);
        if let Err(refusal) = self.list(address, Command::StatsForeach, statistics)? {
            return Ok(Err(refusal));
        }
        let globals = |attribute: &Attribute<'_>| snapshot.globals.take(attribute);
        if let Err(refusal) = self.list(address, Command::GlobalForeach, globals)? {
            return Ok(Err(refusal));
        }
        if pool4 {
            // It may change while it is listed, or have no end; the rest is none the worse for it.
            let listed = self.pool4(address).ok().and_then(Result::ok);
            snapshot.pool4 = Some(listed.unwrap_or_else(Pool4::too_large));
        }
        Ok(Ok(snapshot))
    }

    fn pool4(&mut self, address: &Address) -> io::Result<Answered<Pool4>> {
        let mut pool4 = Pool4::default();
        for protocol in pool4::protocols() {
            let first =
                request::question(address, Command::Pool4Foreach).with(root::PROTOCOL, &[protocol]);
            let next = |last: &Attribute<'_>| {
                request::question(address, Command::Pool4Foreach)
                    .with(root::OFFSET | FLAG_NESTED, last.value)
            };
            let mut problem = None;
            let take = |entry: &Attribute<'_>| problem = problem.or(pool4.take(entry).err());
            let listed = self.pages(address, first, next, take)?;
            if let Some(problem) = problem {
                return Err(malformed(problem));
            }
            if let Err(refusal) = listed {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(pool4))
    }

    /// Asks for one page of the sessions of a protocol, from the start of the table or `after` a place
    /// in it, whether or not a session is there. They are handed to `take` in the module's order, as
    /// they are in batches of that format, and with the time that each has left.
    ///
    /// # Errors
    /// As [`Instance::look`], and when the page is malformed or the list does not go on.
    pub fn sessions(
        &mut self,
        address: &Address,
        protocol: Protocol,
        after: Option<Key>,
        format: Format,
        take: impl FnMut(Key, Update),
    ) -> io::Result<Answered<Page>> {
        let mut question = request::question(address, Command::SessionForeach)
            .with(root::PROTOCOL, &[protocol as u8]);
        if let Some(after) = after {
            question = question.with(root::OFFSET | FLAG_NESTED, &after.to_offset());
        }
        self.ask(address, question, |message| {
            let page = Page::read(message, format, take).map_err(malformed)?;
            if page.next.is_some() && page.next <= after {
                return Err(io::Error::other("the kernel's list does not go on"));
            }
            Ok(page)
        })
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

    /// Has the instance tell its whole table in batches.
    ///
    /// # Errors
    /// As [`Instance::look`].
    pub fn advertise(&mut self, address: &Address) -> io::Result<Answered<()>> {
        let question = request::question(address, Command::JooldAdvertise);
        self.ask(address, question, |_| Ok(()))
    }

    /// Lists numbered values.
    fn list(
        &mut self,
        address: &Address,
        command: Command,
        take: impl FnMut(&Attribute<'_>),
    ) -> io::Result<Answered<()>> {
        let first = request::question(address, command);
        let next = |last: &Attribute<'_>| {
            let number = u8::try_from(last.number).unwrap_or(u8::MAX);
            request::question(address, command).with(root::OFFSET_U8, &[number])
        };
        self.pages(address, first, next, take)
    }

    /// Asks `first`, and whatever `next` makes of the last attribute while there are more.
    fn pages(
        &mut self,
        address: &Address,
        first: netlink::Question,
        next: impl Fn(&Attribute<'_>) -> netlink::Question,
        mut take: impl FnMut(&Attribute<'_>),
    ) -> io::Result<Answered<()>> {
        let mut question = first;
        for _ in 0..PAGES {
            let listed = self.ask(address, question, |message| {
                let mut last = None;
                for attribute in message.attributes() {
                    let attribute = attribute.map_err(malformed)?;
                    take(&attribute);
                    last = Some(attribute);
                }
                let more = message.flags() & flag::MORE != 0;
                Ok(last.filter(|_| more).map(|last| next(&last)))
            })?;
            match listed {
                Ok(Some(another)) => question = another,
                Ok(None) => return Ok(Ok(())),
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
