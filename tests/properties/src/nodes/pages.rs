//! The kernel's table, as a script has it.

use std::collections::BTreeMap;

use joold::sync::Table;
use joold::wire::page::Key;
use joold::wire::session::{Format, Protocol};
use joold::wire::update::Update;

use crate::events::material;
use crate::script::Script;

/// Sessions, and how they are told.
#[derive(Debug)]
pub struct Pages {
    sessions: BTreeMap<(Protocol, Key), Update>,
    /// How many make a page.
    size: usize,
    /// Whether it can be read.
    fails: bool,
    /// Whether it says that there is more where there is not.
    promises: bool,
}

impl Pages {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            sessions: BTreeMap::new(),
            size: 4,
            fails: false,
            promises: false,
        }
    }

    /// Sessions come or all of them go, or it is told in another way.
    pub fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let kind = script.byte()?;
        match kind % 4 {
            0 | 1 => {
                let row = material::row(script, Format::Nested)?;
                for attribute in row.chunks_exact(Format::Nested.size()) {
                    let update = Update::read(attribute, Format::Nested).expect("a session");
                    let protocol = Protocol::ALL[usize::from(update.body.protocol())];
                    self.sessions
                        .insert((protocol, Key::from(&update.body)), update);
                }
            }
            2 => self.sessions.clear(),
            _ => {
                self.fails = kind & 4 != 0;
                self.promises = kind & 8 != 0;
                self.size = usize::from(kind >> 4);
            }
        }
        Some(())
    }
}

impl Table for Pages {
    fn page(
        &mut self,
        protocol: Protocol,
        after: Option<Key>,
        take: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>> {
        if self.fails {
            return None;
        }
        let all = self.sessions.iter();
        let mut behind = all.filter(|((own, key), _)| *own == protocol && Some(*key) > after);
        let mut last = after;
        for ((_, key), update) in behind.by_ref().take(self.size) {
            take(*key, *update);
            last = Some(*key);
        }
        let has_more = behind.next().is_some();
        Some(last.filter(|_| has_more || self.promises))
    }
}
