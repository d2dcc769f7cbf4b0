//! What the model of the module does, rule by rule.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use jool_simulated::globals::id;
use jool_simulated::instance::Instance;
use jool_simulated::module::{Module, Outgoing, TIMER, sessions_of};
use jool_simulated::requests::{self, add, datagram, name, request, update};
use jool_simulated::sample;
use joold::wire::jool::{Command, Message, Version, flag, root};
use joold::wire::netlink::{self, Attributes, FLAG_NESTED, put_attribute};
use joold::wire::request::{Address, Plain};
use joold::wire::session::{self, Format, Protocol, Session, State};

/// Port id of the client in these tests.
const PORT: u32 = 77;

/// A module with the instance `default`, synchronization on, and a clock.
struct Bench {
    module: Module,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self::of(Version::SUPPORTED)
    }

    fn of(version: Version) -> Self {
        let now = Duration::from_secs(100);
        let mut module = Module::new(version, now);
        module.add_instance(name("default"), now).globals.ss_enabled = true;
        Self { module, now }
    }

    fn address(&self) -> Address {
        requests::address(&self.module, "default")
    }

    fn instance(&mut self) -> &mut Instance {
        self.module.instance_mut(&name("default")).unwrap()
    }

    fn format(&self) -> Format {
        self.module.format()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sessions in the batches among `out`.
    fn batches(&self, out: &[Outgoing]) -> Vec<Vec<Session>> {
        let sessions = |contents: Vec<u8>| {
            session::sessions(&contents, self.format())
                .map(Result::unwrap)
                .collect()
        };
        out.iter().filter_map(sessions_of).map(sessions).collect()
    }

    /// Sizes of the batches that translating these sessions sends.
    fn translate(&mut self, sessions: impl IntoIterator<Item = Session>) -> Vec<usize> {
        let mut sizes = Vec::new();
        for session in sessions {
            let out = self.module.translate(&name("default"), &session, self.now);
            sizes.extend(self.batches(out.as_slice()).iter().map(Vec::len));
        }
        sizes
    }

    fn ask(&mut self, bytes: &[u8]) -> Vec<Outgoing> {
        self.module.receive(bytes, PORT, self.now)
    }

    fn plain(&mut self, command: Command) -> Vec<Outgoing> {
        let request = Plain::new(&self.address(), command);
        self.ask(request.bytes())
    }

    /// Sizes of the batches that an acknowledgement sends.
    fn ack(&mut self) -> Vec<usize> {
        let out = self.plain(Command::JooldAck);
        assert!(out.iter().all(|one| sessions_of(one).is_some()));
        self.batches(&out).iter().map(Vec::len).collect()
    }

    fn tick(&mut self) -> Vec<usize> {
        let out = self.module.tick(self.now);
        self.batches(&out).iter().map(Vec::len).collect()
    }

    fn add(&mut self, sessions: &[Session]) -> Vec<Outgoing> {
        let datagram = datagram(sessions, self.format());
        let request = add(&self.address(), &datagram);
        self.ask(&request)
    }

    fn table(&mut self) -> Vec<Session> {
        let now = self.now;
        let instance = self.instance();
        [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]
            .into_iter()
            .flat_map(|protocol| instance.table().list(protocol, &instance.globals))
            .map(|entry| entry.at(now))
            .collect()
    }
}

/// The one answer in `out`, to the test's port.
fn answer(out: &[Outgoing]) -> &[u8] {
    let answers: Vec<_> = out
        .iter()
        .filter_map(|one| match one {
            Outgoing::Port { port: PORT, bytes } => Some(&bytes[..]),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 1, "{out:?}");
    answers[0]
}

fn view(bytes: &[u8]) -> Message<'_> {
    Message::new_checked(netlink::Message::new_checked(bytes).unwrap()).unwrap()
}

fn error_of(out: &[Outgoing]) -> (u16, String) {
    let (code, text) = view(answer(out)).error().expect("an error response");
    (code, String::from_utf8(text.to_vec()).unwrap())
}

fn errno_of(out: &[Outgoing]) -> Option<i32> {
    netlink::Message::new_checked(answer(out)).unwrap().errno()
}

fn expiring(session: Session, milliseconds: u32) -> Session {
    Session {
        expiration: milliseconds,
        ..session
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: u32 = 60_000;

// The queue.

#[test]
fn a_lone_session_waits_for_the_timer() {
    let mut bench = Bench::new();
    assert!(bench.translate([sample::udp(0)]).is_empty());
    bench.pass(TIMER);
    assert!(bench.tick().is_empty(), "the deadline is not yet over");
    bench.pass(TIMER);
    assert_eq!(bench.tick(), [1]);
}

#[test]
fn a_session_after_the_deadline_takes_those_before_it_along() {
    let mut bench = Bench::new();
    bench.translate((0..3).map(sample::udp));
    bench.pass(TIMER + MILLISECOND);
    assert_eq!(bench.translate([sample::udp(3)]), [4]);
}

#[test]
fn a_full_packet_leaves_at_once() {
    let mut bench = Bench::new();
    assert!(bench.translate((0..35).map(sample::udp)).is_empty());
    assert_eq!(bench.translate([sample::udp(35)]), [36]);
}

#[test]
fn every_packet_of_a_session_is_an_update() {
    let mut bench = Bench::new();
    let sent = bench.translate((0..72).map(|_| sample::udp(0)));
    assert_eq!(sent, [36]);
    assert_eq!(bench.ack(), [36]);
    assert_eq!(bench.instance().statistics().sessions, 1);
    assert_eq!(bench.instance().statistics().sessions_queued, 72);
}

#[test]
fn one_batch_is_outstanding_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    assert_eq!(bench.translate((0..100).map(sample::udp)), [36]);
    assert_eq!(bench.ack(), [36]);
    assert!(bench.ack().is_empty(), "28 are no full packet");
    bench.pass(TIMER + MILLISECOND);
    assert_eq!(
        bench.ack(),
        [28],
        "an acknowledgement looks at the deadline"
    );
}

#[test]
fn a_withheld_ack_slows_the_module_to_a_batch_a_deadline() {
    let mut bench = Bench::new();
    bench.translate((0..200).map(sample::udp));
    for _ in 0..3 {
        assert!(bench.tick().is_empty());
        bench.pass(TIMER + MILLISECOND);
        assert_eq!(bench.tick(), [36]);
    }
}

#[test]
fn a_full_queue_drops_the_newest() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_capacity = 40;
    bench.translate((0..36).map(sample::udp));
    bench.translate((36..100).map(sample::udp));
    let statistics = bench.instance().statistics();
    assert_eq!(statistics.sessions_dropped, 24);
    assert_eq!(statistics.sessions_queued, 100, "the dropped ones count");
    assert_eq!(bench.ack(), [36]);
    bench.pass(TIMER + MILLISECOND);
    let out = bench.plain(Command::JooldAck);
    let last = bench.batches(&out).concat();
    assert_eq!(last.last().unwrap().source4, sample::udp(75).source4);
}

#[test]
fn an_advertise_ignores_the_capacity() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_enabled = false;
    bench.translate((0..2_000).map(sample::udp));
    bench.instance().globals.ss_enabled = true;
    let out = bench.plain(Command::JooldAdvertise);
    assert!(view(answer(&out)).error().is_none());
    let mut arrived = bench.batches(&out).concat();
    for _ in 0..100 {
        let out = bench.plain(Command::JooldAck);
        arrived.extend(bench.batches(&out).concat());
    }
    assert_eq!(arrived.len(), 2_000);
    assert_eq!(bench.instance().statistics().sessions_dropped, 0);
    assert_eq!(bench.instance().statistics().packets_sent, 56);
}

#[test]
fn an_update_during_an_advertise_is_queued_whatever_the_capacity() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_enabled = false;
    bench.translate((0..600).map(sample::udp));
    bench.instance().globals.ss_enabled = true;
    bench.plain(Command::JooldAdvertise);
    bench.translate([sample::udp(600)]);
    assert_eq!(bench.instance().queued(), 600 - 36 + 1);
}

#[test]
fn an_advertise_during_an_advertise_is_refused() {
    let mut bench = Bench::new();
    bench.translate((0..100).map(sample::udp));
    bench.plain(Command::JooldAdvertise);
    let out = bench.plain(Command::JooldAdvertise);
    assert_eq!(
        error_of(&out),
        (22, "joold advertisement already in progress.".to_owned())
    );
}

#[test]
fn an_advertise_of_an_empty_table_is_answered_and_sends_nothing() {
    let mut bench = Bench::new();
    let out = bench.plain(Command::JooldAdvertise);
    assert!(view(answer(&out)).error().is_none());
    assert!(bench.batches(&out).is_empty());
    assert_eq!(bench.instance().statistics().advertisements, 0);
}

#[test]
fn an_advertise_tells_tcp_then_udp_then_icmp() {
    let mut bench = Bench::new();
    bench.translate([sample::icmp(0), sample::udp(1), sample::tcp(2)]);
    bench.ack();
    bench.pass(TIMER + MILLISECOND);
    bench.tick();
    bench.ack();
    let out = bench.plain(Command::JooldAdvertise);
    let protocols: Vec<_> = bench.batches(&out)[0]
        .iter()
        .map(|session| session.protocol)
        .collect();
    assert_eq!(protocols, [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]);
}

#[test]
fn without_synchronization_a_packet_queues_nothing() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_enabled = false;
    bench.translate((0..100).map(sample::udp));
    assert_eq!(bench.instance().queued(), 0);
    assert_eq!(bench.instance().table().len(), 100);
}

#[test]
fn an_old_module_sends_each_update_at_once_and_nested() {
    let mut bench = Bench::of(Version::new(4, 1, 9));
    assert_eq!(bench.format(), Format::Nested);
    assert_eq!(bench.translate([sample::udp(0)]), [1]);
    assert!(bench.translate([sample::udp(1)]).is_empty());
    assert_eq!(bench.ack(), [1]);
}

/// As the lab's scenario `queue` has it.
#[test]
fn a_module_without_a_queue_drops_what_its_packet_has_no_room_for() {
    let mut bench = Bench::of(Version::new(4, 1, 9));
    assert_eq!(bench.translate((0..60).map(sample::udp)), [1]);
    assert_eq!(bench.ack(), [11]);
    for _ in 0..3 {
        assert!(bench.ack().is_empty());
    }
    assert_eq!(bench.instance().table().len(), 60);
    // What comes next is told again.
    assert_eq!(bench.translate([sample::udp(60)]), [1]);
}

#[test]
fn a_batch_too_long_for_its_buffer_is_lost() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_max_sessions_per_packet = 42;
    assert!(bench.translate((0..42).map(sample::udp)).is_empty());
    assert_eq!(bench.instance().queued(), 0);
    assert_eq!(bench.instance().statistics().packets_sent, 0);
}

#[test]
fn a_batch_names_the_instance_and_the_modules_version() {
    let mut bench = Bench::of(Version::new(4, 1, 12));
    let out = bench
        .module
        .translate(&name("default"), &sample::udp(35), bench.now);
    let Some(Outgoing::Group { group, bytes }) = out else {
        panic!("no batch: {out:?}");
    };
    assert_eq!(Some(group), bench.module.group());
    let message = view(&bytes);
    assert_eq!(message.version(), Version::new(4, 1, 12));
    assert!(name("default").matches(message.instance()));
    assert_eq!((message.command(), message.translator()), (0, 2));
    assert_eq!(Some(message.netlink().kind()), bench.module.family());
}

// The table.

#[test]
fn what_one_module_sends_another_adds() {
    let (mut from, mut to) = (Bench::new(), Bench::new());
    from.translate((0..35).map(sample::tcp));
    let out = from.plain(Command::JooldAdvertise);
    let contents: Vec<_> = out.iter().filter_map(sessions_of).collect();
    let request = add(&to.address(), &contents.concat());
    assert!(to.ask(&request).is_empty(), "no response to a success");
    assert_eq!(to.table(), from.table());
}

#[test]
fn an_equal_session_is_updated() {
    let mut bench = Bench::new();
    bench.translate([sample::tcp(0)]);
    let mut changed = expiring(sample::tcp(0), 1_000);
    changed.state = State::V6FinReceived;
    assert!(bench.add(&[changed]).is_empty());
    assert_eq!(bench.table(), [changed]);
}

#[test]
fn a_colliding_session_is_refused_without_a_word_and_its_neighbours_are_added() {
    let mut bench = Bench::new();
    bench.translate([sample::udp(0)]);
    let mut colliding = expiring(sample::udp(0), MINUTE);
    colliding.source4.set_port(1234);
    let before = expiring(sample::udp(1), MINUTE);
    let after = expiring(sample::udp(2), MINUTE);
    let out = bench.add(&[before, colliding, after]);
    // The collision goes to the kernel's log; the response has the code and an empty text.
    assert_eq!(error_of(&out), (22, String::new()));
    assert_eq!(bench.table().len(), 3);
    assert_eq!(bench.instance().statistics().sessions_received, 3);
}

#[test]
fn a_mask_that_belongs_to_another_host_is_ignored_and_called_success() {
    let mut bench = Bench::new();
    bench.translate([sample::udp(0)]);
    let mut stolen = expiring(sample::udp(300), MINUTE);
    stolen.source4 = sample::udp(0).source4;
    assert!(bench.add(&[stolen]).is_empty());
    assert_eq!(bench.table().len(), 1);
}

#[test]
fn a_host_that_has_a_mask_keeps_it_whatever_the_peer_says() {
    let mut bench = Bench::new();
    bench.translate([sample::udp(0)]);
    let mut other = expiring(sample::udp(0), MINUTE);
    other.source4.set_port(1234);
    other.destination4.set_port(99);
    other.destination6 = None;
    assert!(bench.add(&[other]).is_empty());
    let table = bench.table();
    assert_eq!(table.len(), 2);
    assert!(
        table
            .iter()
            .all(|one| one.source4 == sample::udp(0).source4)
    );
}

#[test]
fn an_attribute_of_length_0_ends_the_walk_without_a_word() {
    let mut bench = Bench::new();
    let mut contents = datagram(&[expiring(sample::udp(0), MINUTE)], Format::Flat);
    contents.extend([0; 4]);
    contents.extend(datagram(&[expiring(sample::udp(1), MINUTE)], Format::Flat));
    let request = add(&bench.address(), &contents);
    assert!(bench.ask(&request).is_empty());
    assert_eq!(bench.table().len(), 1);
    assert_eq!(bench.instance().statistics().packets_received, 1);
}

#[test]
fn a_forged_session_is_believed() {
    let mut bench = Bench::new();
    let forged = expiring(sample::tcp(0), 49 * 24 * 60 * MINUTE);
    let mut contents = datagram(&[forged], Format::Flat);
    let bits = contents.len() - 1;
    contents[bits] |= 7 << 2;
    let request = add(&bench.address(), &contents);
    assert!(bench.ask(&request).is_empty());
    assert_eq!(bench.table()[0].expiration, 49 * 24 * 60 * MINUTE);
    let out = bench.plain(Command::JooldAdvertise);
    let sent = out.iter().find_map(sessions_of).unwrap();
    assert_eq!(sent, contents, "and passed on");
}

#[test]
fn an_attribute_too_short_for_a_session_is_an_error() {
    let mut bench = Bench::new();
    let mut contents = vec![];
    put_attribute(&mut contents, 1, &[]);
    let request = add(&bench.address(), &contents);
    assert_eq!(
        error_of(&bench.ask(&request)),
        (22, "Invalid request: Session size (4) < 36".to_owned())
    );
}

#[test]
fn sessions_die_at_the_timer_after_their_timeout() {
    let mut bench = Bench::new();
    bench.translate([sample::udp(0), sample::icmp(1)]);
    bench.pass(Duration::from_secs(60));
    bench.tick();
    assert_eq!(bench.table().len(), 1, "ICMP: one minute");
    bench.translate([sample::udp(0)]);
    bench.pass(Duration::from_secs(299));
    bench.tick();
    assert_eq!(bench.table()[0].expiration, 1_000);
    bench.pass(Duration::from_secs(1));
    bench.tick();
    assert!(bench.table().is_empty(), "UDP: five minutes after the last");
    assert_eq!(bench.instance().statistics().bib_entries, 0);
}

#[test]
fn an_established_tcp_connection_gets_a_second_life() {
    let mut bench = Bench::new();
    bench.translate([sample::tcp(0)]);
    bench.pass(Duration::from_secs(2 * 60 * 60));
    bench.tick();
    assert_eq!(bench.table()[0].state, State::Transitory);
    assert_eq!(bench.table()[0].expiration, 4 * MINUTE);
    bench.pass(Duration::from_secs(4 * 60));
    bench.tick();
    assert!(bench.table().is_empty());
}

#[test]
fn a_session_leaves_with_the_lifetime_that_is_left_when_it_leaves() {
    let mut bench = Bench::new();
    bench.translate([sample::udp(0)]);
    bench.pass(Duration::from_secs(3));
    let out = bench.module.tick(bench.now);
    assert_eq!(bench.batches(&out)[0][0].expiration, 5 * MINUTE - 3_000);
}

// Requests.

#[test]
fn a_missing_instance_is_an_error_with_its_name() {
    let mut bench = Bench::new();
    let address = requests::address(&bench.module, "other");
    let out = bench.ask(Plain::new(&address, Command::JooldAck).bytes());
    let (code, text) = error_of(&out);
    assert_eq!(
        (code, &text[..]),
        (3, "This namespace lacks an instance named 'other'.")
    );
}

#[test]
fn an_error_response_copies_header_and_sequence_number_of_its_request() {
    let mut bench = Bench::new();
    let mut address = bench.address();
    address.version = Version::new(4, 1, 7);
    bench.instance().globals.ss_enabled = false;
    let out = bench.ask(Plain::new(&address, Command::JooldAdvertise).bytes());
    let message = view(answer(&out));
    assert_eq!(message.version(), Version::new(4, 1, 7));
    assert_eq!(message.netlink().sequence(), 28);
    assert_eq!(message.flags(), flag::ERROR);
    assert_eq!(
        error_of(&out),
        (22, "Session sync is disabled on this instance.".to_owned())
    );
}

#[test]
fn an_ack_while_synchronization_is_off_is_not_answered() {
    let mut bench = Bench::new();
    bench.instance().globals.ss_enabled = false;
    assert!(bench.plain(Command::JooldAck).is_empty());
}

#[test]
fn another_minor_version_is_refused_with_both_versions() {
    let mut bench = Bench::new();
    let mut address = bench.address();
    address.version = Version::new(4, 2, 0);
    let (code, text) = error_of(&bench.ask(Plain::new(&address, Command::JooldAck).bytes()));
    assert_eq!(code, 22);
    assert!(
        text.contains("4.2.0.0") && text.contains("4.1.13.0"),
        "{text}"
    );
    assert!(text.contains("update the kernel module"), "{text}");
}

#[test]
fn siit_and_unknown_translators_are_refused() {
    let mut bench = Bench::new();
    let refusal = |bench: &mut Bench, translator| {
        let mut bytes = Plain::new(&bench.address(), Command::JooldAck)
            .bytes()
            .to_vec();
        bytes[28] = translator;
        error_of(&bench.ask(&bytes)).1
    };
    assert!(refusal(&mut bench, 1).contains("modprobe jool_siit"));
    assert!(refusal(&mut bench, 3).contains("either SIIT or NAT64"));
}

#[test]
fn another_magic_is_refused() {
    let mut bench = Bench::new();
    let mut bytes = Plain::new(&bench.address(), Command::JooldAck)
        .bytes()
        .to_vec();
    bytes[20] = b'J';
    let out = bench.ask(&bytes);
    let netlink = netlink::Message::new_checked(answer(&out)).unwrap();
    assert_eq!(netlink.payload()[4..8], *b"Jool");
    assert_eq!(netlink.payload()[4 + 9], flag::ERROR);
}

#[test]
fn only_statistics_are_for_everybody() {
    let mut bench = Bench::new();
    bench.module.administrator = false;
    let out = bench.plain(Command::JooldAck);
    assert_eq!(error_of(&out).0, 1);
    let out = bench.plain(Command::StatsForeach);
    assert!(view(answer(&out)).error().is_none());
}

#[test]
fn several_requests_in_one_send_are_all_processed() {
    let mut bench = Bench::new();
    let address = bench.address();
    let requests: Vec<_> = (0..3)
        .flat_map(|n| {
            let sessions = [expiring(sample::udp(n), MINUTE)];
            add(&address, &datagram(&sessions, Format::Flat))
        })
        .collect();
    assert!(bench.ask(&requests).is_empty());
    assert_eq!(bench.table().len(), 3);
}

#[test]
fn a_container_without_the_nested_flag_is_netlinks_error() {
    let mut bench = Bench::new();
    let mut attributes = Vec::new();
    put_attribute(&mut attributes, root::SESSION_ENTRIES, &[]);
    let request = request(&bench.address(), Command::JooldAdd, &attributes);
    assert_eq!(errno_of(&bench.ask(&request)), Some(22));
}

#[test]
fn an_add_without_a_container_crashes_the_real_module() {
    let mut bench = Bench::new();
    bench.plain(Command::JooldAdd);
    assert!(bench.module.oops().is_some());
}

#[test]
fn statistics_come_in_pages() {
    let mut bench = Bench::new();
    bench.translate((0..36).map(sample::udp));
    bench.module.answer_room = 200;
    let (mut rows, mut last) = (Vec::new(), 0u8);
    for page in 0..100 {
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, root::OFFSET_U8, &[last]);
        let address = bench.address();
        let out = bench.ask(&request(&address, Command::StatsForeach, &attributes));
        let message = view(answer(&out));
        rows.extend(message.attributes().map(Result::unwrap).map(|row| {
            let value = u64::from_ne_bytes(row.value.try_into().unwrap());
            (row.number, value)
        }));
        last = rows.last().unwrap().0 as u8;
        if message.flags() & flag::MORE == 0 {
            assert!(page > 1);
            break;
        }
    }
    assert_eq!(rows.len(), 83);
    assert_eq!(rows[75], (76, 36), "sessions sent");
    assert_eq!(rows[78], (79, 1), "packets sent");
}

#[test]
fn sessions_are_listed_nested_and_in_pages() {
    let mut bench = Bench::new();
    bench.translate((0..100).map(sample::tcp));
    let mut listed: Vec<Session> = Vec::new();
    for _ in 0..100 {
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, root::PROTOCOL, &[0]);
        if let Some(last) = listed.last() {
            let mut one = Vec::new();
            last.emit(Format::Nested, &mut one);
            put_attribute(&mut attributes, FLAG_NESTED | root::OFFSET, &one[4..]);
        }
        let address = bench.address();
        let out = bench.ask(&request(&address, Command::SessionForeach, &attributes));
        let message = view(answer(&out));
        listed.extend(
            message
                .attributes()
                .map(|row| Session::parse(row.unwrap().value, Format::Nested).unwrap()),
        );
        if message.flags() & flag::MORE == 0 {
            break;
        }
    }
    assert_eq!(listed, bench.table());
}

#[test]
fn globals_are_updated_and_listed() {
    let mut bench = Bench::new();
    let request = update(&bench.address(), id::SS_CAPACITY, &9u32.to_ne_bytes());
    let out = bench.ask(&request);
    assert!(view(answer(&out)).error().is_none());
    let out = bench.plain(Command::GlobalForeach);
    let listed = view(answer(&out)).attributes().find(id::SS_CAPACITY);
    assert_eq!(listed.and_then(|row| row.u32()), Some(9));
}

#[test]
fn hello_tells_whether_the_instance_lives() {
    let mut bench = Bench::new();
    let mut status = |name: &str| {
        let address = requests::address(&bench.module, name);
        let out = bench.ask(Plain::new(&address, Command::InstanceHello).bytes());
        Attributes::new(&answer(&out)[Message::HEADER..])
            .find(1)
            .and_then(|status| status.u8())
    };
    assert_eq!(status("default"), Some(0));
    assert_eq!(status("other"), Some(1));
}

#[test]
fn instances_are_told_apart_by_case() {
    let mut bench = Bench::new();
    let address = requests::address(&bench.module, "DEFAULT");
    let out = bench.ask(Plain::new(&address, Command::JooldAck).bytes());
    assert_eq!(error_of(&out).0, 3);
}

// The controller.

fn get_family(bench: &mut Bench, family: &str) -> Vec<Outgoing> {
    let mut attributes = Vec::new();
    let mut value = family.as_bytes().to_vec();
    value.push(0);
    put_attribute(&mut attributes, 2, &value);
    let mut bytes = vec![0; 20];
    bytes.extend(attributes);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..8].copy_from_slice(&[0x10, 0, 1, 0]);
    bytes[16] = 3;
    bench.ask(&bytes)
}

#[test]
fn the_controller_knows_jool_and_its_group() {
    let mut bench = Bench::new();
    let out = get_family(&mut bench, "Jool");
    let attributes = || Attributes::new(&answer(&out)[20..]);
    let id = attributes().find(1).and_then(|id| id.u16());
    assert_eq!(id, bench.module.family());
    let groups = attributes().find(7).unwrap();
    let group = Attributes::new(groups.value).find(1).unwrap();
    let field = |number| Attributes::new(group.value).find(number).unwrap();
    assert_eq!(field(1).value, b"joold\0");
    assert_eq!(field(2).u32(), bench.module.group());
}

#[test]
fn an_unloaded_module_is_no_family() {
    let mut bench = Bench::new();
    let family = bench.module.family();
    bench.module.unload();
    assert_eq!(errno_of(&get_family(&mut bench, "Jool")), Some(2));
    bench.module.load(bench.now);
    assert_ne!(bench.module.family(), family, "ids change with each load");
    assert!(bench.module.instance(&name("default")).is_none());
}

#[test]
fn an_old_family_id_is_unknown_after_a_reload() {
    let mut bench = Bench::new();
    let ack = Plain::new(&bench.address(), Command::JooldAck);
    bench.module.unload();
    bench.module.load(bench.now);
    assert_eq!(errno_of(&bench.ask(ack.bytes())), Some(2));
}
