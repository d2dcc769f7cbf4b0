//! Messages from the netlink socket.

use std::ops::Range;
use std::time::Instant;

use joold::engine::{Engine, Event, FromKernel, Limits, Piece, Reason};
use joold::wire::jool::{Command, InstanceName, Message, Version, root};
use joold::wire::netlink;
use joold::wire::session::Format;
use joold::wire::update::Update;

use crate::{FAMILY, is_one_line};

const LIMITS: Limits = Limits {
    window: 1000,
    sessions: 16,
};

/// A message from the netlink socket: what the engine forwards are bytes of its container, all of
/// them but for updates that are held, and only if the kernel sent it. Whatever is not forwarded is
/// counted once and told in one line.
pub fn no_kernel_message_is_forwarded_out_of_bounds(message: &[u8]) {
    for merging in [false, true] {
        let (mut engine, now) = engine(merging);
        let mut bytes = message.to_vec();
        match engine.on_kernel(now, 0, &mut bytes) {
            FromKernel::Forward(piece) => {
                check_forwarded(&engine, message, &bytes, &piece, merging);
            }
            FromKernel::Ignore => {
                assert_eq!(bytes, message);
                assert_eq!(engine.counters().kernel_sent.packets, 0);
                assert!(lost(&engine) == 1 || is_harmless(message));
            }
        }
        check_events(&mut engine);
        check_acknowledgements(engine.acknowledgements(), FAMILY);
        check_from_a_process(message, merging);
    }
}

fn engine(merging: bool) -> (Engine, Instant) {
    let now = Instant::now();
    let mut engine = Engine::new(InstanceName::DEFAULT, now);
    if merging {
        engine = engine.merging_refreshes(LIMITS, 0);
    }
    engine.module_found(now, FAMILY, None);
    (engine, now)
}

fn check_from_a_process(message: &[u8], merging: bool) {
    let (mut engine, now) = engine(merging);
    let mut bytes = message.to_vec();
    assert_eq!(engine.on_kernel(now, 1, &mut bytes), FromKernel::Ignore);
    assert_eq!(bytes, message);
    assert_eq!(engine.counters().lost(Reason::NotFromKernel), 1);
    assert_eq!(lost(&engine), 1);
}

/// `bytes` is what became of `message`.
fn check_forwarded(engine: &Engine, message: &[u8], bytes: &[u8], piece: &Piece, merging: bool) {
    let (container, version) = container(message).expect("only batches are forwarded");
    let format = Format::of(version);
    let counters = engine.counters();
    assert_eq!(lost(engine), 0);
    assert_eq!(counters.kernel_sent.packets, 1);
    assert_eq!(counters.kernel_sent.bytes, container.len() as u64);
    assert_eq!(piece.range.start, container.start);
    assert!(piece.range.end <= container.end);
    assert_eq!(bytes[..container.start], message[..container.start]);
    assert_eq!(bytes[container.end..], message[container.end..]);
    if !merging {
        assert_eq!((bytes, piece.joinable), (message, false));
    }
    let withheld = counters.merged + counters.held;
    let held_bytes = format.size() as u64 * withheld;
    assert_eq!((container.len() - piece.range.len()) as u64, held_bytes);
    if piece.joinable {
        let mut all = message[container].chunks(format.size());
        for session in bytes[piece.range.clone()].chunks(format.size()) {
            assert!(Update::read(session, format).is_some());
            assert!(
                all.any(|one| one == session),
                "not of the message, or moved"
            );
        }
    }
}

/// Where a batch's sessions stand, and which module wrote them.
pub fn container(message: &[u8]) -> Option<(Range<usize>, Version)> {
    let message = Message::new_checked(netlink::Message::new_checked(message).ok()?).ok()?;
    let found = message.attributes().find(root::SESSION_ENTRIES)?.range();
    let container = Message::HEADER + found.start..Message::HEADER + found.end;
    Some((container, message.version()))
}

/// netlink's own acknowledgement.
pub fn is_harmless(message: &[u8]) -> bool {
    netlink::Message::new_checked(message).is_ok_and(|message| message.errno() == Some(0))
}

/// All losses together.
pub fn lost(engine: &Engine) -> u64 {
    let counters = engine.counters();
    Reason::ALL
        .iter()
        .map(|&reason| counters.lost(reason))
        .sum()
}

/// What it wants to be told is a line each.
pub fn check_events(engine: &mut Engine) {
    while let Some(event) = engine.next_event() {
        check_event(&event);
    }
}

/// Whatever a message says, it cannot write lines of its own into the log.
pub fn check_event(event: &Event) {
    if let Event::Trouble { detail: words, .. }
    | Event::InstanceMissing(words)
    | Event::InstanceRemoved(words) = event
    {
        assert!(is_one_line(words), "{words:?}");
    }
}

/// They are whole requests to the module, one at least.
pub fn check_acknowledgements(all: &[u8], family: u16) {
    assert!(!all.is_empty() && all.len() <= 32 * Message::HEADER);
    for one in all.chunks(Message::HEADER) {
        let one = netlink::Message::new_checked(one).expect("a whole message");
        let one = Message::new_checked(one).expect("a whole request");
        assert_eq!(one.netlink().kind(), family);
        assert_eq!(one.command(), Command::JooldAck as u8);
    }
}
