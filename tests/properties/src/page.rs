//! A page of a session table, as a module tells it.

use joold::wire::jool::{Message, flag};
use joold::wire::lifetime::{Timeouts, idle, is_later};
use joold::wire::netlink::Attributes;
use joold::wire::page::{Key, Page};
use joold::wire::session::{ENTRY, Format};
use joold::wire::update::Update;

use crate::is_one_line;

/// Each session of a page is handed over or counted, in both formats; one can be asked for what
/// follows it, and written into a batch.
pub fn check(message: &Message<'_>) {
    let attributes = message.attributes().map_while(Result::ok);
    let entries = attributes.filter(|one| one.number == ENTRY).count();
    let mut places = Vec::new();
    for format in [Format::Flat, Format::Nested] {
        let mut taken = Vec::new();
        let page = Page::read(message, format, |key, update| taken.push((key, update)));
        match page {
            Ok(page) => {
                assert_eq!(taken.len() + page.left_out, entries);
                let more = message.flags() & flag::MORE != 0;
                assert_eq!(page.next.is_some(), more);
            }
            Err(problem) => assert!(is_one_line(&problem.to_string())),
        }
        for (key, update) in &taken {
            check_session(*key, update, format);
        }
        check_lifetimes(&taken);
        places.push((
            page,
            taken.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        ));
    }
    assert_eq!(places[0], places[1], "the format has no part in it");
}

fn check_session(key: Key, update: &Update, format: Format) {
    assert_eq!(Key::from(&update.body), key);
    assert_eq!(Key::from_bytes(&key.to_bytes()), key);
    assert_eq!(Attributes::new(&key.to_offset()).flatten().count(), 2);
    assert_eq!(update.destination6.is_some(), format == Format::Nested);
    let mut written = vec![0x55; format.size()];
    update.write(format, &mut written);
    assert_eq!(Update::read(&written, format), Some(*update));
}

/// Of two copies at most one is later; that they are of one session matters to nobody here.
fn check_lifetimes(taken: &[(Key, Update)]) {
    let timeouts = Timeouts {
        tcp_established: 7_200_000,
        tcp_transitory: 240_000,
        udp: 300_000,
        icmp: 60_000,
    };
    for ((_, one), (_, other)) in taken.iter().zip(taken.iter().skip(1)) {
        assert!(idle(one, &timeouts) <= timeouts.tcp_established);
        let both = is_later(one, other, &timeouts) && is_later(other, one, &timeouts);
        assert!(!both && !is_later(one, one, &timeouts));
    }
}
