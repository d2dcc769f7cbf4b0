//! Orders of events among several nodes.

use super::samples;

/// As the property reads them: a small ring, and no wait between those who read the table.
const BEGIN: [u8; 1] = [1 << 5];
const MERGING: [u8; 1] = [1 + (3 << 3)];
/// A module, and an instance that synchronizes.
const KERNEL: [u8; 9] = [13, 5, 14, 4, 4, 10, 5, 0, 0];
const NO_MODULE: [u8; 2] = [13, 0];
const NESTED_MODULE: [u8; 2] = [13, 3 + (3 << 2)];
const CREATED_ANEW: [u8; 3] = [14, 3, 0];
const TURNED_ON: [u8; 3] = [14, 4, 4];
const SMALL_QUEUE: [u8; 3] = [14, 4, 2 + (2 << 2)];
const NEXT: [u8; 4] = [10, 5, 0, 0];
const ECHO: [u8; 2] = [7, 3];
const LOOP: [u8; 2] = [7, 0];
const BLOCKED: [u8; 2] = [17, 0];
const UNBLOCKED: [u8; 2] = [17, 1];
const NOT_SENT: [u8; 2] = [17, 3];
const OVERRUN: [u8; 2] = [18, 0];
const ADD_NOT_SENT: [u8; 2] = [18, 2];
const OFF: [u8; 2] = [19, 0];
const ON: [u8; 2] = [19, 2];
const TABLE_FAILS: [u8; 2] = [15, 0x47];
const TABLE_PROMISES: [u8; 2] = [15, 0x1b];
const SMALL_PAGES: [u8; 2] = [15, 0x23];

/// From a node's last number to the next one: by the place of the step among the property's.
const BY_1: u8 = 0;
const BY_2: u8 = 4;
const BY_3: u8 = 5;
const SAME: u8 = 6;
const BACK: u8 = 7;
const BACK_3: u8 = 8;
const BY_40: u8 = 9;
const BY_70000: u8 = 12;
const HALF_WAY: u8 = 14;

/// The own number; a node that begins with 1; and one whose numbers begin anew soon.
const OWN: u8 = 0;
const NODE: u8 = 2;
const WRAPPING: u8 = 3;

const ROW: [[u8; 2]; 2] = [[0, 0], [3, 0]];

/// The second one is established, with the timer of one that is not.
const BAD_ROW: [[u8; 2]; 2] = [[0, 0], [3, 0x10]];

fn row(sessions: &[[u8; 2]]) -> Vec<u8> {
    [&[sessions.len() as u8], sessions.as_flattened()].concat()
}

fn of(kind: u8, node: u8, step: u8, body: &[u8]) -> Vec<u8> {
    [&[0, kind, node, step], body, &[0]].concat()
}

fn sessions(node: u8, step: u8) -> Vec<u8> {
    of(0, node, step, &row(&ROW))
}

/// In sync, unless it is something else, with so many datagrams that it can repeat.
fn hello(node: u8, standing: u8, oldest: u8, holes: u8, reports: &[[u8; 3]]) -> Vec<u8> {
    let start = [standing, oldest, holes, reports.len() as u8];
    of(2, node, SAME, &[&start, reports.as_flattened()].concat())
}

fn ask(node: u8, whose: u8, ranges: &[[u8; 3]]) -> Vec<u8> {
    let start = [whose, ranges.len() as u8];
    of(3, node, SAME, &[&start, ranges.as_flattened()].concat())
}

fn repeat(node: u8, step: u8) -> Vec<u8> {
    of(4, node, step, &row(&ROW))
}

fn pull(node: u8, whose: u8, protocol: u8, place: u8) -> Vec<u8> {
    of(5, node, SAME, &[whose, 16, protocol, place])
}

fn part(protocol: u8, after: u8, last: u8, sessions: &[[u8; 2]]) -> Vec<u8> {
    let start = [protocol, after, last];
    of(6, NODE, SAME, &[&start[..], &row(sessions)].concat())
}

fn batch(sessions: &[[u8; 2]]) -> Vec<u8> {
    [&[8, 0][..], &row(sessions)].concat()
}

fn table(sessions: &[[u8; 2]]) -> Vec<u8> {
    [&[15, 0][..], &row(sessions)].concat()
}

fn wait(ms: u16) -> Vec<u8> {
    let [low, high] = ms.to_le_bytes();
    vec![10, 2, low, high]
}

fn room(length: u16) -> Vec<u8> {
    let [low, high] = length.to_le_bytes();
    vec![16, low, high]
}

fn receive(datagram: &[u8]) -> Vec<u8> {
    [&[6, 1, datagram.len() as u8], datagram].concat()
}

/// With the kernel there, `then` that, and a while for what is due.
fn with_kernel(then: &[Vec<u8>]) -> Vec<u8> {
    [
        &BEGIN[..],
        &KERNEL,
        &then.concat(),
        NEXT.repeat(20).as_slice(),
    ]
    .concat()
}

pub fn seeds() {
    let property = "whatever_other_nodes_tell_nothing_stays_due";
    for (name, script) in repairs().into_iter().chain(tables()).chain(others()) {
        super::write(property, name, script);
    }
}

fn repairs() -> Vec<(&'static str, Vec<u8>)> {
    let gap = [sessions(NODE, BY_1), sessions(NODE, BY_3)].concat();
    vec![
        (
            "gap",
            with_kernel(&[gap.clone(), NEXT.repeat(6), repeat(NODE, BACK)]),
        ),
        (
            "overtaken",
            with_kernel(&[gap.clone(), sessions(NODE, BACK), sessions(NODE, SAME)]),
        ),
        (
            "others-ask-for-the-same",
            with_kernel(&[gap, ask(WRAPPING, NODE, &[[BACK, 1, BY_1]]), NEXT.repeat(4)]),
        ),
        (
            "wrapping-numbers",
            with_kernel(&[
                sessions(WRAPPING, BY_1),
                sessions(WRAPPING, BY_40),
                hello(WRAPPING, 3, 2, 0, &[]),
                repeat(WRAPPING, BACK_3),
            ]),
        ),
        (
            "more-gaps-than-are-remembered",
            with_kernel(&[sessions(NODE, BY_2).repeat(70), sessions(NODE, BY_70000)]),
        ),
        (
            "half-way-around",
            with_kernel(&[sessions(NODE, BY_1), sessions(NODE, HALF_WAY)]),
        ),
        (
            "own-repeated",
            with_kernel(&[
                batch(&ROW).repeat(6),
                ask(NODE, OWN, &[[SAME, 4, BY_1], [BACK, 0, BY_3]]),
                NEXT.repeat(4),
                ask(WRAPPING, OWN, &[[SAME, 1, SAME]]),
            ]),
        ),
        (
            "reports-of-others",
            with_kernel(&[
                sessions(NODE, BY_1),
                sessions(WRAPPING, BY_1),
                hello(
                    NODE,
                    3,
                    1,
                    0,
                    &[[WRAPPING, BY_3, 0], [OWN, SAME, 0], [9, BY_1, 1]],
                ),
                wait(4000),
            ]),
        ),
        (
            "behind",
            with_kernel(&[
                SMALL_QUEUE.to_vec(),
                batch(&ROW).repeat(3),
                hello(NODE, 3, 1, 0, &[[OWN, BACK_3, 0]]),
                batch(&ROW).repeat(9),
                NEXT.repeat(9),
                hello(NODE, 3, 1, 0, &[[OWN, SAME, 0]]),
            ]),
        ),
    ]
}

fn tables() -> Vec<(&'static str, Vec<u8>)> {
    let newcomer = [hello(NODE, 3, 1, 1, &[[WRAPPING, SAME, 0]]), NEXT.repeat(4)].concat();
    let own = [table(&[
        [0, 0],
        [3, 0],
        [6, 0],
        [1, 0],
        [2, 0],
        [9, 0],
        [12, 0],
    ])];
    let pulls = [
        pull(NODE, OWN, 0, 0),
        NEXT.repeat(8),
        pull(WRAPPING, OWN, 1, 2),
    ]
    .concat();
    vec![
        (
            "table-read",
            with_kernel(&[
                newcomer.clone(),
                part(0, 0, 4, &ROW),
                part(0, 4, 0, &[[6, 0]]),
                NEXT.to_vec(),
                part(1, 0, 0, &[]),
                part(2, 0, 0, &[[2, 0]]),
            ]),
        ),
        (
            "table-read-in-vain",
            with_kernel(&[
                newcomer.clone(),
                NEXT.repeat(30),
                hello(WRAPPING, 3, 1, 0, &[]),
            ]),
        ),
        (
            "late-sessions-that-cannot-be",
            with_kernel(&[
                newcomer.clone(),
                part(0, 0, 4, &BAD_ROW),
                part(0, 0, 4, &ROW),
                sessions(NODE, BY_3),
                of(4, NODE, BACK, &row(&BAD_ROW)),
                of(0x84, NODE, SAME, &row(&BAD_ROW)),
            ]),
        ),
        (
            "table-fails-meanwhile",
            with_kernel(&[
                newcomer.clone(),
                part(0, 0, 4, &ROW),
                TABLE_FAILS.to_vec(),
                part(0, 4, 0, &[[6, 0]]),
            ]),
        ),
        ("table-given", with_kernel(&[own.concat(), pulls.clone()])),
        (
            "table-given-in-small-pages",
            with_kernel(&[own.concat(), SMALL_PAGES.to_vec(), room(200), pulls.clone()]),
        ),
        (
            "table-without-end",
            with_kernel(&[
                own.concat(),
                TABLE_PROMISES.to_vec(),
                pulls.clone(),
                pulls.clone(),
            ]),
        ),
        (
            "table-unread",
            with_kernel(&[own.concat(), TABLE_FAILS.to_vec(), pulls.clone()]),
        ),
        (
            "no-room-for-a-session",
            with_kernel(&[own.concat(), room(60), pulls.clone(), newcomer.clone()]),
        ),
        (
            "kernel-created-anew",
            with_kernel(&[
                newcomer,
                part(0, 0, 4, &ROW),
                CREATED_ANEW.to_vec(),
                TURNED_ON.to_vec(),
                NEXT.repeat(6),
                NO_MODULE.to_vec(),
                wait(100),
                sessions(NODE, BY_40),
                NESTED_MODULE.to_vec(),
                NEXT.repeat(6),
                of(0x46, NODE, SAME, &[&[0, 0, 0][..], &row(&ROW)].concat()),
            ]),
        ),
    ]
}

fn others() -> Vec<(&'static str, Vec<u8>)> {
    let everybody = |message: fn(u8) -> Vec<u8>| (1..40).flat_map(message).collect::<Vec<_>>();
    let said = with_kernel(&[everybody(|node| sessions(node, BY_1)), NEXT.repeat(20)]);
    vec![
        ("alone", with_kernel(&[wait(4000)])),
        (
            "without-kernel",
            [&BEGIN[..], &sessions(NODE, BY_3), &NEXT.repeat(9)].concat(),
        ),
        ("more-nodes-than-are-known", said),
        (
            "everybody-lacks-something-and-there-is-no-room",
            with_kernel(&[
                everybody(|node| sessions(node, BY_1)),
                everybody(|node| sessions(node, BY_3)),
                room(0),
                batch(&ROW).repeat(9),
                ask(NODE, OWN, &[[SAME, 8, BY_40]]),
                pull(NODE, OWN, 0, 0),
                NEXT.repeat(20),
            ]),
        ),
        (
            "own-number",
            with_kernel(&[
                sessions(OWN, BY_1),
                hello(OWN, 3, 1, 0, &[]),
                wait(11_000),
                LOOP.to_vec(),
                ECHO.to_vec(),
            ]),
        ),
        (
            "merged-and-held",
            [
                &MERGING[..],
                &KERNEL,
                &batch(&ROW).repeat(3),
                &sessions(NODE, BY_1),
                &sessions(NODE, BY_3),
                &sessions(NODE, BACK),
                &NEXT.repeat(20),
            ]
            .concat(),
        ),
        (
            "trouble",
            with_kernel(&[
                hello(NODE, 3, 1, 0, &[]),
                BLOCKED.to_vec(),
                batch(&ROW).repeat(3),
                NOT_SENT.to_vec(),
                wait(2000),
                UNBLOCKED.to_vec(),
                OVERRUN.to_vec(),
                ADD_NOT_SENT.to_vec(),
            ]),
        ),
        (
            "off-and-on",
            with_kernel(&[
                batch(&ROW),
                OFF.to_vec(),
                sessions(NODE, BY_1),
                batch(&ROW),
                ON.to_vec(),
                hello(NODE, 3, 1, 0, &[]),
                batch(&ROW),
            ]),
        ),
        (
            "without-number",
            with_kernel(&[
                receive(&samples::BATCH[52..]),
                receive(&samples::NESTED_SESSION),
            ]),
        ),
    ]
}
