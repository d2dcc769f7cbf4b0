//! The module as a whole: requests and time in, netlink messages out. No clock, no socket.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use joold::wire::generic;
use joold::wire::jool::{Command, InstanceName, Message, Translator, Version, error, flag, root};
use joold::wire::netlink::{self, Attributes, FLAG_REQUEST, put_attribute};
use joold::wire::session::{ENTRY, Format, Protocol, Session};

use crate::controller::{self, Family, command};
use crate::entry;
use crate::globals::{self, id};
use crate::instance::{Batch, Failed, Instance, POOL6};
use crate::message::{self, Draft, JoolHeader, NOOP};
use crate::netlink_rules::{check_attributes, errno};
use crate::statistics::Statistics;

/// How often the module looks at tables and queues by itself.
pub const TIMER: Duration = Duration::from_millis(2000);

/// Requests that are remembered for tests.
const REMEMBERED: usize = 65_536;

/// `NLM_F_ACK`: netlink shall tell that the request worked.
const FLAG_ACK: u16 = 4;

/// `NLM_F_DUMP`: none of Jool's commands dumps.
const FLAG_DUMP: u16 = 0x300;

/// The first `nlmsg_type` that is a family and not netlink's own.
const FIRST_FAMILY: u16 = 0x10;

/// Family ids come from the kernel's pool of dynamic ones.
const FIRST_DYNAMIC: u16 = 0x23;

/// Groups that the module takes in turn. The kernel ends all memberships when a family goes;
/// a user-space socket cannot do that to others, but a new number has the same effect.
const GROUPS: std::ops::Range<u32> = 17..33;

/// Room in an answer: one page less the kernel's bookkeeping, on a 64-bit machine.
pub const ANSWER_ROOM: usize = 3776;

/// Room in a batch: an allocation for 1,500 bytes rounded up to 2,048, less the same.
const BATCH_ROOM: usize = 1728;

/// A message that the module sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// To one socket.
    Port {
        /// Its port id.
        port: u32,
        /// One netlink message.
        bytes: Vec<u8>,
    },
    /// To whoever has joined the group.
    Group {
        /// The group's number.
        group: u32,
        /// One netlink message.
        bytes: Vec<u8>,
    },
}

/// A request to Jool's family that reached the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Port id of the socket that sent it.
    pub port: u32,
    /// See [`Command`].
    pub command: u8,
    /// The instance that it names.
    pub instance: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A simulated Jool kernel module.
#[derive(Clone, Debug)]
pub struct Module {
    version: Version,
    loaded: Option<Family>,
    loads: u16,
    instances: Vec<Instance>,
    next_tick: Duration,
    /// Whether clients have `CAP_NET_ADMIN` in the initial user namespace.
    pub administrator: bool,
    /// Whether every `GLOBAL_UPDATE` fails, as those with a bad value do.
    pub refuses_updates: bool,
    /// Bytes that fit into an answer: less than [`ANSWER_ROOM`] makes the module page sooner.
    pub answer_room: usize,
    requests: VecDeque<Request>,
    /// By command.
    asked: BTreeMap<u8, Asked>,
    /// What instances counted that are gone, by their names.
    gone: BTreeMap<String, Statistics>,
    oops: Option<&'static str>,
}

/// How often something was asked of the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that reached it.
    pub reached: u64,
    /// Those of them that it answered with an error.
    pub refused: u64,
    /// Requests while it was not loaded, or of its last load's family: netlink refuses them.
    pub too_late: u64,
}

type Answer = Result<Option<Draft>, (i32, String)>;

impl Module {
    /// A loaded module of that version without instances.
    pub fn new(version: Version, now: Duration) -> Self {
        let mut module = Self {
            version,
            loaded: None,
            loads: 0,
            instances: Vec::new(),
            next_tick: now,
            administrator: true,
            refuses_updates: false,
            answer_room: ANSWER_ROOM,
            requests: VecDeque::new(),
            asked: BTreeMap::new(),
            gone: BTreeMap::new(),
            oops: None,
        };
        module.load(now);
        module
    }

    /// The module's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the module writes the sessions of its batches.
    pub fn format(&self) -> Format {
        entry::format(self.version)
    }

    /// `nlmsg_type` of the family's messages, while the module is loaded.
    pub fn family(&self) -> Option<u16> {
        self.loaded.as_ref().map(|family| family.id)
    }

    /// The number of the group `joold`, while the module is loaded.
    pub fn group(&self) -> Option<u32> {
        self.loaded.as_ref().map(|family| family.group.1)
    }

    /// `modprobe jool`. Family and group have other numbers each time. No effect if it is loaded.
    pub fn load(&mut self, now: Duration) -> Vec<Outgoing> {
        if self.loaded.is_some() {
            return Vec::new();
        }
        let group = GROUPS.start + u32::from(self.loads) % GROUPS.len() as u32;
        let family = Family::jool(FIRST_DYNAMIC + self.loads, group);
        self.loads += 1;
        let out = announce(&family, [command::NEW_FAMILY, command::NEW_GROUP]);
        self.loaded = Some(family);
        self.next_tick = now + TIMER;
        out
    }

    /// `modprobe -r jool`: the instances go with it. No effect if it is not loaded.
    pub fn unload(&mut self) -> Vec<Outgoing> {
        for instance in std::mem::take(&mut self.instances) {
            self.remember_counters(&instance);
        }
        self.loaded.take().map_or_else(Vec::new, |family| {
            announce(&family, [command::DELETE_FAMILY, command::DELETE_GROUP])
        })
    }

    /// `modprobe -r`, upgrade, `modprobe`.
    pub fn replace(&mut self, version: Version, now: Duration) -> Vec<Outgoing> {
        let mut out = self.unload();
        self.version = version;
        out.extend(self.load(now));
        out
    }

    /// `jool instance add`. An instance of that name makes place.
    pub fn add_instance(&mut self, name: InstanceName, now: Duration) -> &mut Instance {
        self.remove_instance(&name);
        self.instances.push(Instance::new(name, self.version, now));
        let last = self.instances.len() - 1;
        &mut self.instances[last]
    }

    /// `jool instance remove`.
    pub fn remove_instance(&mut self, name: &InstanceName) {
        let named = |instance: &Instance| instance.name() == *name;
        if let Some(at) = self.instances.iter().position(named) {
            let instance = self.instances.remove(at);
            self.remember_counters(&instance);
        }
    }

    fn remember_counters(&mut self, instance: &Instance) {
        let name = instance.name().as_str().to_owned();
        *self.gone.entry(name).or_default() += instance.statistics();
    }

    /// What all instances of that name have counted, those that are gone included.
    pub fn counted(&self, name: &InstanceName) -> Statistics {
        let mut sum = self.gone.get(name.as_str()).copied().unwrap_or_default();
        if let Some(instance) = self.instance(name) {
            sum += instance.statistics();
        }
        sum
    }

    /// How often `command` was asked for since the kernel's start, whatever the instance.
    pub fn asked(&self, command: Command) -> Asked {
        self.asked
            .get(&(command as u8))
            .copied()
            .unwrap_or_default()
    }

    /// The instance of that name.
    pub fn instance(&self, name: &InstanceName) -> Option<&Instance> {
        self.instances.iter().find(|one| one.name() == *name)
    }

    /// The instance of that name.
    pub fn instance_mut(&mut self, name: &InstanceName) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|one| one.name() == *name)
    }

    /// What would have crashed the real kernel, if anything did.
    pub fn oops(&self) -> Option<&'static str> {
        self.oops
    }

    /// The latest requests to Jool's family, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&mut self) {
        self.requests.clear();
    }

    /// A packet of `session` passes through the instance of that name.
    pub fn translate(
        &mut self,
        name: &InstanceName,
        session: &Session,
        now: Duration,
    ) -> Option<Outgoing> {
        let index = self.index(name.field())?;
        let batch = self.instances[index].translate(session, now);
        self.send(index, batch, now)
    }

    /// When [`Module::tick`] is due.
    pub fn next_tick(&self) -> Duration {
        self.next_tick
    }

    /// Keeps the module's timer from going off, so that nothing happens but by requests and
    /// packets.
    pub fn stop_timer(&mut self) {
        self.next_tick = Duration::MAX;
    }

    /// The module's timer.
    pub fn tick(&mut self, now: Duration) -> Vec<Outgoing> {
        self.next_tick = now + TIMER;
        let mut out = Vec::new();
        for index in 0..self.instances.len() {
            let batch = self.instances[index].tick(now);
            out.extend(self.send(index, batch, now));
        }
        out
    }

    fn send(&mut self, index: usize, batch: Option<Batch>, now: Duration) -> Option<Outgoing> {
        let batch = batch.filter(|batch| !batch.is_empty())?;
        let (family, group) = (self.family()?, self.group()?);
        let format = self.format();
        let instance = &mut self.instances[index];
        let mut contents = Vec::new();
        for entry in &batch {
            entry::emit(entry, now, format, &mut contents);
        }
        let header = message::own_header(self.version, &instance.name());
        let bytes = message::batch(family, &header, &contents);
        if bytes.len() > BATCH_ROOM {
            // More sessions a packet than the buffer holds: the kernel complains and drops them.
            return None;
        }
        instance.count_sent(batch.len());
        Some(Outgoing::Group { group, bytes })
    }

    fn index(&self, field: &[u8]) -> Option<usize> {
        let name = field.split(|&byte| byte == 0).next().unwrap_or_default();
        self.instances
            .iter()
            .position(|one| one.name().as_str().as_bytes() == name)
    }

    /// What a socket with that port id sent: one or more requests.
    pub fn receive(&mut self, datagram: &[u8], port: u32, now: Duration) -> Vec<Outgoing> {
        let mut out = Vec::new();
        for request in netlink::Messages::new(datagram).map_while(Result::ok) {
            let before = out.len();
            let result = self.request(&request, port, now, &mut out);
            let errno = result.err().unwrap_or_default();
            if errno != 0 || request.flags() & FLAG_ACK != 0 {
                let bytes = message::verdict(&request, errno, port);
                out.push(Outgoing::Port { port, bytes });
            } else if request.kind() == NOOP {
                out.truncate(before);
                let draft = Draft::netlink(NOOP, 0, request.sequence(), port);
                let bytes = draft.finish();
                out.push(Outgoing::Port { port, bytes });
            }
        }
        out
    }

    fn request(
        &mut self,
        request: &netlink::Message<'_>,
        port: u32,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), i32> {
        if request.flags() & FLAG_REQUEST == 0 || request.kind() < FIRST_FAMILY {
            return Ok(());
        }
        if request.kind() == controller::ID {
            let request = generic::Message::new_checked(*request).map_err(|_| errno::EINVAL)?;
            let families: Vec<_> = [Family::CONTROLLER]
                .into_iter()
                .chain(self.loaded.clone())
                .collect();
            let bytes = controller::answer(&request, port, &families)?;
            out.push(Outgoing::Port { port, bytes });
            return Ok(());
        }
        if self.family() != Some(request.kind()) {
            if let Ok(request) = generic::Message::new_checked(*request) {
                self.asked.entry(request.command()).or_default().too_late += 1;
            }
            return Err(errno::ENOENT);
        }
        self.jool_request(request, port, now, out)
    }

    fn jool_request(
        &mut self,
        request: &netlink::Message<'_>,
        port: u32,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), i32> {
        let generic = generic::Message::new_checked(*request).map_err(|_| errno::EINVAL)?;
        let (header, attributes) = generic
            .payload()
            .split_first_chunk::<28>()
            .ok_or(errno::EINVAL)?;
        let command = known(generic.command()).ok_or(errno::EOPNOTSUPP)?;
        if request.flags() & FLAG_DUMP == FLAG_DUMP {
            return Err(errno::EOPNOTSUPP);
        }
        check_attributes(attributes)?;
        self.remember(request, port, generic.command(), header);
        let call = Call {
            command,
            header,
            attributes,
            to: (request.sequence(), port),
        };
        let answer = self.handle(&call, now, out);
        let asked = self.asked.entry(command as u8).or_default();
        asked.reached += 1;
        asked.refused += u64::from(answer.is_err());
        let draft = match answer {
            Ok(draft) => draft,
            Err((code, text)) => {
                let mut draft = self.answer(&call);
                draft.flag(flag::ERROR);
                draft.put(error::CODE, &(code as u16).to_ne_bytes());
                draft.text(error::MESSAGE, &text);
                Some(draft)
            }
        };
        out.extend(draft.map(|draft| Outgoing::Port {
            port,
            bytes: draft.finish(),
        }));
        Ok(())
    }

    fn remember(
        &mut self,
        request: &netlink::Message<'_>,
        port: u32,
        command: u8,
        header: &JoolHeader,
    ) {
        if self.requests.len() == REMEMBERED {
            self.requests.pop_front();
        }
        let name = header[12..].split(|&byte| byte == 0).next();
        self.requests.push_back(Request {
            port,
            command,
            instance: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
            bytes: request.bytes().to_vec(),
        });
    }

    fn answer(&self, call: &Call<'_>) -> Draft {
        Draft::jool(self.family().unwrap_or_default(), call.to, call.header)
    }

    fn handle(&mut self, call: &Call<'_>, now: Duration, out: &mut Vec<Outgoing>) -> Answer {
        self.check_header(call)?;
        if call.command == Command::InstanceHello {
            return self.hello(call);
        }
        let index = self.find(call)?;
        match call.command {
            Command::InstanceHello => Ok(None),
            Command::StatsForeach => self.list_statistics(call, index),
            Command::GlobalForeach => self.list_globals(call, index),
            Command::GlobalUpdate => self.update_globals(call, index),
            Command::Pool4Foreach => Ok(Some(self.list_pool4(call, index))),
            Command::SessionForeach => self.list_sessions(call, index, now),
            Command::JooldAdd => self.add(call, index, now),
            Command::JooldAdvertise => {
                let batch = self.instances[index].advertise(now).map_err(invalid)?;
                out.extend(self.send(index, batch, now));
                Ok(Some(self.answer(call)))
            }
            Command::JooldAck => {
                let batch = self.instances[index].acknowledge(now);
                out.extend(self.send(index, batch, now));
                Ok(None)
            }
        }
    }

    fn check_header(&self, call: &Call<'_>) -> Result<(), (i32, String)> {
        if call.command != Command::StatsForeach && !self.administrator {
            let text = "CAP_NET_ADMIN capability required. (Maybe try su or sudo?)";
            return Err((errno::EPERM, text.to_owned()));
        }
        let refuse = |text: &str| Err((errno::EINVAL, text.to_owned()));
        if !call.header.starts_with(b"jool") {
            return refuse(
                "Don't know what to do: The packet I just received does not follow Jool's protocol.",
            );
        }
        const SIIT: u8 = Translator::Siit as u8;
        const NAT64: u8 = Translator::Nat64 as u8;
        match call.header[8] {
            NAT64 => {}
            SIIT => {
                return refuse("SIIT Jool has not been modprobed. (Try `modprobe jool_siit`)");
            }
            _ => return refuse("The instance type must be either SIIT or NAT64."),
        }
        self.check_version(call)
    }

    fn check_version(&self, call: &Call<'_>) -> Result<(), (i32, String)> {
        let own = self.version.to_bytes();
        let [major, minor, revision, development] = [4, 5, 6, 7].map(|at: usize| call.header[at]);
        if own[..2] == [major, minor] {
            return Ok(());
        }
        let old = if own > [major, minor, revision, development] {
            "userspace client"
        } else {
            "kernel module"
        };
        let text = format!(
            "Version mismatch. The userspace client's version is \
             {major}.{minor}.{revision}.{development},\n\
             but the kernel module is {}.{}.{}.{}.\nPlease update the {old}.",
            own[0], own[1], own[2], own[3]
        );
        Err((errno::EINVAL, text))
    }

    fn find(&self, call: &Call<'_>) -> Result<usize, (i32, String)> {
        let name = match call.header[12] {
            0 => b"default",
            _ => &call.header[12..],
        };
        check_name(name)?;
        self.index(name).ok_or_else(|| {
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            let text = format!("This namespace lacks an instance named '{name}'.");
            (errno::ESRCH, text)
        })
    }

    fn hello(&self, call: &Call<'_>) -> Answer {
        const STATUS: u16 = 1;
        check_name(&call.header[12..])?;
        let missing = self.index(&call.header[12..]).is_none();
        let mut draft = self.answer(call);
        draft.put(STATUS, &[u8::from(missing)]);
        Ok(Some(draft))
    }

    fn add(&mut self, call: &Call<'_>, index: usize, now: Duration) -> Answer {
        let container = Attributes::new(call.attributes).find(root::SESSION_ENTRIES);
        let disabled = !self.instances[index].globals.ss_enabled;
        match container {
            Some(container) => self.instances[index]
                .add(container.value, now)
                .map_err(invalid)?,
            None if disabled => self.instances[index].add(&[], now).map_err(invalid)?,
            None => self.oops = Some("JOOLD_ADD without a container: a null pointer is followed"),
        }
        Ok(None)
    }

    fn list_statistics(&self, call: &Call<'_>, index: usize) -> Answer {
        let list = self.instances[index].statistics().list(self.version);
        let rows = list
            .iter()
            .map(|(id, value)| (*id, value.to_ne_bytes().to_vec()));
        Ok(Some(self.page(call, call.offset(), rows)))
    }

    /// All entries of one protocol; a model's pool4 fits one page.
    fn list_pool4(&self, call: &Call<'_>, index: usize) -> Draft {
        let mut draft = self.answer(call);
        let protocol = Attributes::new(call.attributes)
            .find(root::PROTOCOL)
            .and_then(|protocol| protocol.u8());
        for entry in &self.instances[index].pool4 {
            if Some(entry.protocol as u8) == protocol {
                draft.put(netlink::FLAG_NESTED | ENTRY, &entry.to_bytes());
            }
        }
        draft
    }

    fn list_globals(&self, call: &Call<'_>, index: usize) -> Answer {
        let mut rows = self.instances[index].globals.list(self.version);
        let mut pool6 = Vec::new();
        put_attribute(&mut pool6, 1, &POOL6.octets());
        put_attribute(&mut pool6, 2, &[96]);
        rows.insert(1, (netlink::FLAG_NESTED | id::POOL6, pool6));
        rows.insert(
            7,
            (netlink::FLAG_NESTED | id::PLATEAUS, globals::plateaus()),
        );
        Ok(Some(self.page(call, call.offset(), rows.into_iter())))
    }

    /// An answer with the rows behind the one numbered `offset`, as many as fit.
    fn page(
        &self,
        call: &Call<'_>,
        offset: u16,
        rows: impl Iterator<Item = (u16, Vec<u8>)>,
    ) -> Draft {
        let mut draft = self.answer(call);
        for (kind, value) in rows {
            if kind & !netlink::FLAG_NESTED <= offset {
                continue;
            }
            if draft.len() + netlink::aligned(4 + value.len()) > self.answer_room {
                draft.flag(flag::MORE);
                break;
            }
            draft.put(kind, &value);
        }
        draft
    }

    fn update_globals(&mut self, call: &Call<'_>, index: usize) -> Answer {
        let container = Attributes::new(call.attributes)
            .find(root::GLOBALS)
            .ok_or_else(|| {
                let text = "Request is missing a globals container.";
                (errno::EINVAL, text.to_owned())
            })?;
        if self.refuses_updates {
            return Err((errno::EINVAL, "This value is out of range.".to_owned()));
        }
        let globals = &mut self.instances[index].globals;
        globals
            .update(container.value)
            .map_err(|text| (errno::EINVAL, text))?;
        Ok(Some(self.answer(call)))
    }

    fn list_sessions(&self, call: &Call<'_>, index: usize, now: Duration) -> Answer {
        let refuse = |text: &str| (errno::EINVAL, text.to_owned());
        let attributes = || Attributes::new(call.attributes);
        let protocol = attributes()
            .find(root::PROTOCOL)
            .and_then(|protocol| protocol.u8())
            .ok_or_else(|| refuse("The request is missing a transport protocol."))?;
        let protocol = match protocol {
            0 => Protocol::Tcp,
            1 => Protocol::Udp,
            2 => Protocol::Icmp,
            _ => return Err(refuse("")),
        };
        let instance = &self.instances[index];
        let offset = attributes().find(root::OFFSET);
        let after = offset.map(|offset| {
            entry::parse_offset(offset.value)
                .ok_or_else(|| refuse("The 'session entry' attribute is malformed."))
        });
        let after = after.transpose()?;
        let mut draft = self.answer(call);
        for row in instance
            .table()
            .list_after(protocol, after, &instance.globals)
        {
            let mut bytes = Vec::new();
            entry::emit(&row, now, Format::Nested, &mut bytes);
            if draft.len() + bytes.len() > self.answer_room {
                draft.flag(flag::MORE);
                break;
            }
            draft.raw(&bytes);
        }
        Ok(Some(draft))
    }
}

/// A request to Jool's family, taken apart.
struct Call<'a> {
    command: Command,
    header: &'a JoolHeader,
    attributes: &'a [u8],
    /// Sequence number and port id of the answer.
    to: (u32, u32),
}

impl Call<'_> {
    fn offset(&self) -> u16 {
        Attributes::new(self.attributes)
            .find(root::OFFSET_U8)
            .and_then(|offset| offset.u8())
            .unwrap_or_default()
            .into()
    }
}

fn known(command: u8) -> Option<Command> {
    [
        Command::InstanceHello,
        Command::StatsForeach,
        Command::GlobalForeach,
        Command::GlobalUpdate,
        Command::Pool4Foreach,
        Command::SessionForeach,
        Command::JooldAdd,
        Command::JooldAdvertise,
        Command::JooldAck,
    ]
    .into_iter()
    .find(|known| *known as u8 == command)
}

fn invalid(failed: Failed) -> (i32, String) {
    (errno::EINVAL, failed.0)
}

fn check_name(field: &[u8]) -> Result<(), (i32, String)> {
    let name = field.split(|&byte| byte == 0).next().unwrap_or_default();
    if name.len() < InstanceName::FIELD && name.iter().all(|&byte| byte >= 32) {
        return Ok(());
    }
    let text = "The instance name must be a null-terminated ascii string, 15 characters max.";
    Err((errno::EINVAL, text.to_owned()))
}

fn announce(family: &Family, commands: [u8; 2]) -> Vec<Outgoing> {
    commands
        .map(|command| Outgoing::Group {
            group: controller::NOTIFY,
            bytes: family.describe(command, (0, 0)),
        })
        .into()
}

/// Whether a message is a batch of Jool's, for tests that look at what was sent.
pub fn sessions_of(outgoing: &Outgoing) -> Option<Vec<u8>> {
    let Outgoing::Group { bytes, .. } = outgoing else {
        return None;
    };
    let message = Message::new_checked(netlink::Message::new_checked(bytes).ok()?).ok()?;
    let container = message.attributes().find(root::SESSION_ENTRIES)?;
    Some(container.value.to_vec())
}
