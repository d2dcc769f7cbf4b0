//! A router's Jool, and what of the truth its table reflects.

use std::time::Duration;

use jool_simulated::entry;
use jool_simulated::instance::Instance;
use jool_simulated::module::{Module, Outgoing};
use jool_simulated::requests;
use jool_simulated::table::{Entry, PROTOCOLS, milliseconds};
use joold::sync::Table;
use joold::wire::globals::Global;
use joold::wire::instance::{Refusal, Snapshot};
use joold::wire::jool::{InstanceName, Message, Version};
use joold::wire::netlink::{self, Attribute};
use joold::wire::page::Key;
use joold::wire::pool4::Pool4;
use joold::wire::request::Address;
use joold::wire::session::{self, Format, Protocol, Session, State, Timer};
use joold::wire::update::Update;

use crate::sessions::{self, Id, Uses};

/// The port id of the daemon's socket.
pub const PORT: u32 = 4711;

/// How many sessions a page has.
const PAGE: usize = 26;

/// `ESRCH`: there is no such instance.
const NO_INSTANCE: i32 = 3;

/// A copy of a session was replaced by one that a daemon brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Which session.
    pub id: Id,
    /// When the use was that the replaced copy reflected; nothing if there was none, or its time was up, or it
    /// could not tell.
    pub before: Option<i64>,
    /// The same of the copy that came.
    pub after: i64,
    /// How much later than any use it claims to have been used.
    pub invented: i64,
    /// How long it has to live, in milliseconds: one whose time is up tells nothing.
    pub left: u32,
    /// Whether it can tell.
    pub is_certain: bool,
}

/// A module with at most one instance.
#[derive(Debug)]
pub struct Kernel {
    module: Module,
    name: InstanceName,
    timeouts: [u32; 4],
    /// Another number for each instance that there was.
    pub generation: u32,
    /// When the last use was that each session reflects, by [`Id`]; nothing where none is there.
    truth: Vec<Option<i64>>,
    /// When a packet made each session that was not there.
    began: Vec<Option<i64>>,
    /// When each session appeared that was not there, by whatever.
    appeared: Vec<Option<i64>>,
}

impl Kernel {
    /// A router that has just been switched on.
    pub fn new(generation: u32, timeouts: [u32; 4], now: Duration) -> Self {
        let mut kernel = Self {
            module: Module::new(Version::SUPPORTED, now),
            name: InstanceName::DEFAULT,
            timeouts,
            generation,
            truth: Vec::new(),
            began: Vec::new(),
            appeared: Vec::new(),
        };
        kernel.create(now);
        kernel
    }

    /// `jool instance add`; one that is there makes place.
    pub fn create(&mut self, now: Duration) {
        let globals = &mut self.module.add_instance(self.name, now).globals;
        let [established, transitory, udp, icmp] = self.timeouts;
        (globals.tcp_established, globals.tcp_transitory) = (established, transitory);
        (globals.udp, globals.icmp) = (udp, icmp);
        self.generation += 1;
        self.forget();
    }

    /// `jool instance remove`.
    pub fn remove(&mut self) {
        self.module.remove_instance(&self.name);
        self.forget();
    }

    fn forget(&mut self) {
        self.truth.clear();
        self.began.clear();
        self.appeared.clear();
    }

    /// Turns synchronization on, as upstream's users do by hand.
    pub fn turn_on(&mut self, deadline: u32) {
        if let Some(instance) = self.module.instance_mut(&self.name) {
            instance.globals.ss_enabled = true;
            instance.globals.ss_flush_deadline = deadline;
        }
    }

    /// Whom requests are for.
    pub fn address(&self) -> Address {
        requests::address(&self.module, self.name.as_str())
    }

    /// The type of the module's messages.
    pub fn family(&self) -> u16 {
        self.module.family().unwrap_or_default()
    }

    /// The instance, if there is one.
    pub fn instance(&self) -> Option<&Instance> {
        self.module.instance(&self.name)
    }

    /// A session of the table.
    pub fn find(&self, id: Id) -> Option<Entry> {
        let (instance, key) = (self.instance()?, sessions::key(id));
        let place = (key.source4, key.destination4);
        let table = instance.table();
        table.get(sessions::protocol(id), place, &instance.globals)
    }

    /// When the last use was that a session reflects.
    pub fn reflects(&self, id: Id) -> Option<i64> {
        self.truth.get(id).copied().flatten()
    }

    /// When a packet began a session here; nothing if none did.
    pub fn began(&self, id: Id) -> Option<i64> {
        self.began.get(id).copied().flatten()
    }

    /// When a session appeared here last.
    pub fn appeared(&self, id: Id) -> Option<i64> {
        self.appeared.get(id).copied().flatten()
    }

    fn set_truth(&mut self, id: Id, packet: Option<i64>) {
        set(&mut self.truth, id, packet);
    }

    /// A packet leaves a session in that stage. Returns what the module has to say, and whether its
    /// queue had room for the update.
    pub fn translate(
        &mut self,
        id: Id,
        stage: (State, Timer),
        now: Duration,
    ) -> (Option<Outgoing>, bool) {
        let dropped = |kernel: &Self| {
            let instance = kernel.instance();
            instance.map_or(0, |instance| instance.statistics().sessions_dropped)
        };
        let before = dropped(self);
        if self.find(id).is_none() {
            set(&mut self.began, id, Some(milliseconds(now)));
            set(&mut self.appeared, id, Some(milliseconds(now)));
        }
        let session = sessions::session(id, stage);
        let out = self.module.translate(&self.name, &session, now);
        self.set_truth(id, Some(milliseconds(now)));
        (out, dropped(self) == before)
    }

    /// When [`Kernel::tick`] is due.
    pub fn next_tick(&self) -> Duration {
        self.module.next_tick()
    }

    /// The module's timer. Returns what it has to say, and which connections became transitory for their
    /// time was up, with the last use that each reflected.
    pub fn tick(
        &mut self,
        now: Duration,
        uses: &mut Uses,
    ) -> (Vec<Outgoing>, Vec<(Id, Option<i64>)>) {
        let is_due = |(_, entry): &(Id, Entry)| entry.dies <= milliseconds(now);
        let due: Vec<_> = self.all().filter(is_due).collect();
        let out = self.module.tick(now);
        let mut ended = Vec::new();
        for (id, entry) in due {
            match self.find(id) {
                None => self.set_truth(id, None),
                Some(after) if after.session.state != entry.session.state => {
                    uses.add(id, milliseconds(now));
                    ended.push((id, self.reflects(id)));
                    self.set_truth(id, Some(milliseconds(now)));
                }
                Some(_) => (),
            }
        }
        (out, ended)
    }

    /// All sessions of the table.
    pub fn all(&self) -> impl Iterator<Item = (Id, Entry)> + '_ {
        self.instance().into_iter().flat_map(|instance| {
            let globals = &instance.globals;
            PROTOCOLS.into_iter().flat_map(move |protocol| {
                let list = instance.table().list(protocol, globals);
                list.filter_map(|entry| Some((sessions::id_of(&entry.session)?, entry)))
            })
        })
    }

    /// What a daemon's socket sends. Returns the module's answers, and what became of sessions that
    /// were to be added.
    pub fn receive(
        &mut self,
        requests: &[u8],
        now: Duration,
        uses: &Uses,
    ) -> (Vec<Outgoing>, Vec<Replaced>) {
        let (mut out, mut replaced) = (Vec::new(), Vec::new());
        for request in netlink::Messages::new(requests).map_while(Result::ok) {
            let added = added(&request);
            let before: Vec<_> = added.iter().map(|&(id, _)| self.certain(id, now)).collect();
            for &(id, _) in &added {
                if self.find(id).is_none() {
                    set(&mut self.appeared, id, Some(milliseconds(now)));
                }
            }
            out.extend(self.module.receive(request.bytes(), PORT, now));
            for ((id, session), before) in added.into_iter().zip(before) {
                replaced.extend(self.replaced(id, &session, before, now, uses));
            }
        }
        self.module.forget_requests();
        (out, replaced)
    }

    /// What a session reflects, if it lives and its stage tells that.
    fn certain(&self, id: Id, now: Duration) -> Option<i64> {
        let entry = self
            .find(id)
            .filter(|entry| entry.dies > milliseconds(now))?;
        self.reflects(id)
            .filter(|_| sessions::is_certain(&entry.session))
    }

    fn replaced(
        &mut self,
        id: Id,
        session: &Session,
        before: Option<i64>,
        now: Duration,
        uses: &Uses,
    ) -> Option<Replaced> {
        let entry = self.find(id)?;
        let globals = &self.instance()?.globals;
        if entry.session.state != session.state || !globals.ss_enabled {
            return None;
        }
        let timeout = globals.timeout(session.protocol, session.timer);
        let left = i64::from(session.expiration) - i64::from(timeout);
        let begins = milliseconds(now) + left;
        let used = uses.reflected(id, begins)?;
        self.set_truth(id, Some(used));
        Some(Replaced {
            id,
            before,
            after: used,
            invented: begins - used,
            left: session.expiration,
            is_certain: sessions::is_certain(session),
        })
    }

    /// What the daemon is told that looks at the instance.
    ///
    /// # Errors
    /// When there is none.
    pub fn look(&self) -> Result<Snapshot, Refusal> {
        let Some(instance) = self.instance() else {
            return Err(Refusal {
                code: NO_INSTANCE,
                text: b"This namespace lacks an instance named 'default'.".to_vec(),
            });
        };
        let mut snapshot = Snapshot {
            pool4: Some(Pool4::too_large()),
            ..Snapshot::default()
        };
        for (number, value) in instance.globals.list(self.module.version()) {
            snapshot.globals.take(&attribute(number, &value));
        }
        for (number, value) in instance.statistics().list(self.module.version()) {
            let value = value.to_ne_bytes();
            snapshot.statistics.take(&attribute(number, &value));
        }
        Ok(snapshot)
    }

    /// Gives the instance other globals.
    pub fn change(&mut self, changes: &[(Global, u32)]) {
        let mut container = Vec::new();
        for &(global, value) in changes {
            global.put(value, &mut container);
        }
        if let Some(instance) = self.module.instance_mut(&self.name) {
            // These are values that the module takes.
            let _ = instance.globals.update(&container);
        }
    }

    /// The table as a daemon reads it.
    pub fn table(&self, now: Duration) -> KernelTable<'_> {
        KernelTable { kernel: self, now }
    }
}

fn set(times: &mut Vec<Option<i64>>, id: Id, time: Option<i64>) {
    if times.len() <= id {
        times.resize(id + 1, None);
    }
    times[id] = time;
}

fn attribute(number: u16, value: &[u8]) -> Attribute<'_> {
    Attribute {
        number,
        value,
        offset: 0,
    }
}

/// The sessions that a request wants added.
fn added(request: &netlink::Message<'_>) -> Vec<(Id, Session)> {
    let message = Message::new_checked(*request).ok();
    let container = message.and_then(|message| message.sessions().ok()?);
    let contents = container.map_or(&[][..], |container| container.value);
    session::sessions(contents, Format::Flat)
        .map_while(Result::ok)
        .filter_map(|session| Some((sessions::id_of(&session)?, session)))
        .collect()
}

/// See [`Kernel::table`].
#[derive(Debug)]
pub struct KernelTable<'a> {
    kernel: &'a Kernel,
    now: Duration,
}

impl Table for KernelTable<'_> {
    fn page(
        &mut self,
        protocol: Protocol,
        after: Option<Key>,
        take: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>> {
        let instance = self.kernel.instance()?;
        let after = after.map(|key| (key.source4, key.destination4));
        let table = instance.table();
        let mut list = table
            .list_after(protocol, after, &instance.globals)
            .peekable();
        let mut last = None;
        let mut bytes = Vec::new();
        for row in list.by_ref().take(PAGE) {
            bytes.clear();
            entry::emit(&row, self.now, Format::Flat, &mut bytes);
            let key = Key {
                source4: row.session.source4,
                destination4: row.session.destination4,
            };
            last = Some(key);
            if let Some(update) = Update::read(&bytes, Format::Flat) {
                take(key, update);
            }
        }
        Some(last.filter(|_| list.peek().is_some()))
    }
}
