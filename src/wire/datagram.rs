//! What peers send: checked before the kernel sees it, and brought into this machine's byte order
//! where it stands.
//!
//! The kernel checks hardly anything itself: it takes TCP states that do not exist, and reads a
//! session that was cut short beyond its end. So what comes from the network has to be sessions to
//! the letter, all of it.
//!
//! What clients of a NAT64 choose is not checked, however odd: a real module makes sessions of
//! packets to port 0, to 64:ff9b::127.0.0.1 or 64:ff9b::224.0.0.1, and from the address `::` (seen on
//! 4.1.13). Were they refused here, one such packet would keep all sessions of its datagram from the
//! peers.

use std::net::Ipv6Addr;

use super::netlink::{Attribute, Attributes, FLAG_NESTED, aligned};
use super::pool4::Pool4;
use super::session::{ENTRY, Format, Session, flat, nested};
use super::{Malformed, array};

/// What of a datagram is for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// So many bytes, from the start: sessions in this machine's byte order, and nothing else.
    pub length: usize,
    /// Whether they came in the other byte order.
    pub converted: bool,
    /// How many had a longer lifetime than any that is allowed, which they have now.
    pub shortened: usize,
    /// How many were left out since their mask is not in pool4.
    pub outside: usize,
}

/// Why a datagram is not for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no row of sessions.
    Framing(Malformed),
    /// Its sessions are written as another version of Jool does.
    OtherFormat(Format),
    /// A session in it is none that a NAT64 can have.
    Session {
        /// Which one, from 0.
        number: usize,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// Some of its sessions have masks that are not in a pool4 which may be another one by now. All
    /// of it is in this machine's byte order now.
    OldPool4 {
        /// Whether it came in the other one.
        converted: bool,
    },
    /// Nothing in it is for the kernel: it begins with an attribute header of length 0, at which
    /// Jool stops reading without a word.
    NoSessions,
}

/// What is known of the instance that a datagram is for. What is not known is not asked of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// How the module writes sessions; it would not understand others.
    pub format: Option<Format>,
    /// The longest lifetime of any session, in milliseconds.
    pub longest: Option<u32>,
    /// Which masks sessions can have.
    pub pool4: Option<&'a Pool4>,
    /// Whether pool4 may be another one by now, so that nothing should be left out before it was
    /// asked for again.
    pub is_pool4_old: bool,
}

/// Checks a datagram, and converts it in place if it comes from a machine of the other byte order.
/// A lifetime that is too long is cut down. Sessions whose mask is not in pool4 are left out, and
/// the others moved together: one would be enough to make `jool global update` fail from then on
/// (seen on 4.1.13), but routers whose pool4 differ are no reason to lose all the rest.
///
/// # Errors
/// When it is not for the kernel; its bytes may have been changed then.
pub fn admit(bytes: &mut [u8], terms: &Terms<'_>) -> Result<Admitted, Refusal> {
    if is_plain(bytes, terms) {
        return Ok(Admitted {
            length: bytes.len(),
            converted: false,
            shortened: 0,
            outside: 0,
        });
    }
    let (format, converted) = form(bytes)?;
    if terms.format.is_some_and(|expected| expected != format) {
        return Err(Refusal::OtherFormat(format));
    }
    let longest = terms.longest.unwrap_or(u32::MAX);
    let mut admitted = Admitted {
        length: 0,
        converted,
        shortened: 0,
        outside: 0,
    };
    let mut at = 0;
    while next_header(&bytes[at..])?.is_some() {
        let rest = &mut bytes[at..];
        if converted {
            swap(rest, format)?;
        }
        check_frame(rest, format).map_err(Refusal::Framing)?;
        let value = &mut rest[Attribute::HEADER..format.size()];
        let mask = check(value, format).map_err(|problem| Refusal::Session {
            number: at / format.size(),
            problem,
        })?;
        admitted.shortened += usize::from(shorten(value, format, longest));
        let session = at..at + format.size();
        at = session.end;
        if terms.pool4.is_some_and(|pool4| !mask.is_in(pool4)) {
            admitted.outside += 1;
            if !terms.is_pool4_old {
                continue;
            }
        }
        if session.start != admitted.length {
            bytes.copy_within(session, admitted.length);
        }
        admitted.length += format.size();
    }
    match admitted.outside > 0 && terms.is_pool4_old {
        true => Err(Refusal::OldPool4 { converted }),
        false => Ok(admitted),
    }
}

/// Whether this is what nearly all datagrams are: sessions in the flat format and this machine's byte
/// order, of which nothing has to be changed. All of them are looked at before anything is decided,
/// which costs less than to decide for each.
fn is_plain(bytes: &[u8], terms: &Terms<'_>) -> bool {
    const SIZE: usize = Format::Flat.size();
    let longest = terms.longest.unwrap_or(u32::MAX);
    if terms.format == Some(Format::Nested) || bytes.is_empty() || bytes.len() % SIZE != 0 {
        return false;
    }
    let mut plain = true;
    for session in bytes.chunks_exact(SIZE) {
        let value = &session[Attribute::HEADER..];
        let header = (
            u16::from_ne_bytes(array(session, Attribute::LENGTH)),
            u16::from_ne_bytes(array(session, Attribute::KIND)),
        );
        plain &= header == (SIZE as u16, ENTRY);
        plain &= u32::from_be_bytes(array(value, flat::EXPIRATION)) <= longest;
        let mask = check_flat(value);
        plain &= mask.is_ok_and(|mask| terms.pool4.is_none_or(|pool4| mask.is_in(pool4)));
    }
    plain
}

/// Cuts the lifetime of a session that was found to be one; tells whether it had to be.
fn shorten(value: &mut [u8], format: Format, longest: u32) -> bool {
    let (at, lifetime, allowed) = match format {
        Format::Flat => {
            let at = flat::EXPIRATION;
            let lifetime = u32::from_be_bytes(array(value, at));
            (at, lifetime, longest.to_be_bytes())
        }
        Format::Nested => {
            let found = Attributes::new(value).find(nested::EXPIRATION);
            let Some((at, lifetime)) = found.and_then(|found| Some((found.offset, found.u32()?)))
            else {
                return false;
            };
            (at, lifetime, longest.to_ne_bytes())
        }
    };
    if lifetime > longest {
        value[at..at + allowed.len()].copy_from_slice(&allowed);
    }
    lifetime > longest
}

/// The format of a datagram's first session, and whether it is in the other byte order.
fn form(bytes: &[u8]) -> Result<(Format, bool), Refusal> {
    const FLAT: u16 = Format::Flat.size() as u16;
    const NESTED: u16 = Format::Nested.size() as u16;
    let length = next_header(bytes)?.ok_or(Refusal::NoSessions)?;
    match (length, length.swap_bytes()) {
        (FLAT, _) => Ok((Format::Flat, false)),
        (NESTED, _) => Ok((Format::Nested, false)),
        (_, FLAT) => Ok((Format::Flat, true)),
        (_, NESTED) => Ok((Format::Nested, true)),
        _ => Err(Refusal::Framing(Malformed::SessionSize(length.into()))),
    }
}

/// The length field of the attribute at the start of `rest`. Nothing where the sessions end.
fn next_header(rest: &[u8]) -> Result<Option<u16>, Refusal> {
    if rest.is_empty() {
        return Ok(None);
    }
    if rest.len() < Attribute::HEADER {
        return Err(Refusal::Framing(Malformed::TooShort {
            have: rest.len(),
            need: Attribute::HEADER,
        }));
    }
    let length = u16::from_ne_bytes(array(rest, Attribute::LENGTH));
    Ok((length != 0).then_some(length))
}

fn check_frame(rest: &[u8], format: Format) -> Result<(), Malformed> {
    let length = usize::from(u16::from_ne_bytes(array(rest, Attribute::LENGTH)));
    let kind = u16::from_ne_bytes(array(rest, Attribute::KIND));
    if length != format.size() {
        return Err(Malformed::SessionSize(length));
    }
    if rest.len() < length {
        return Err(Malformed::LengthBeyondBuffer(length));
    }
    if kind & !FLAG_NESTED != ENTRY {
        return Err(Malformed::Lacks("session where one should be"));
    }
    Ok(())
}

/// What stands for the IPv6 node on the IPv4 side.
#[derive(Clone, Copy, Debug)]
struct Mask {
    protocol: usize,
    address: u32,
    port: u16,
}

impl Mask {
    fn is_in(self, pool4: &Pool4) -> bool {
        pool4.contains(self.protocol, self.address, self.port)
    }
}

/// Whether that can be a NAT64's session; if so, its mask.
fn check(value: &[u8], format: Format) -> Result<Mask, Malformed> {
    match format {
        Format::Flat => check_flat(value),
        Format::Nested => {
            let session = Session::parse(value, Format::Nested)?;
            // Together they fill all of it, so there is none twice and nothing else.
            for attribute in Attributes::new(value) {
                attribute?;
            }
            check_flat(&session.to_flat())
        }
    }
}

/// Which of the values that protocol, state and timer have together exist: sessions of UDP and ICMP
/// have one timer.
const KNOWN: [bool; 128] = {
    let mut known = [false; 128];
    let mut bits = 0;
    while bits < known.len() {
        let (protocol, state, timer) = (bits >> 5, (bits >> 2) & 7, bits & 3);
        known[bits] = state <= 6 && (protocol == 0 && timer <= 2 || protocol <= 2 && timer == 0);
        bits += 1;
    }
    known
};

fn check_flat(value: &[u8]) -> Result<Mask, Malformed> {
    let bits = u16::from_be_bytes(array(value, flat::BITS));
    if !KNOWN.get(usize::from(bits)).is_some_and(|known| *known) {
        return Err(unknown(bits));
    }
    let source6 = u128::from_be_bytes(array(value, flat::SOURCE6));
    // The kernel drops packets from there before Jool sees them.
    if source6 >> 120 == 0xff || source6 == LOOPBACK {
        return Err(Malformed::Lacks("address of a host as its IPv6 source"));
    }
    // Of pool4: no "this network", loopback or multicast.
    if matches!(value[flat::SOURCE4], 0 | 127 | 224..=239) {
        return Err(Malformed::Lacks(
            "address that pool4 can have as its IPv4 source",
        ));
    }
    Ok(Mask {
        protocol: usize::from(bits >> 5),
        address: u32::from_be_bytes(array(value, flat::SOURCE4)),
        port: u16::from_be_bytes(array(value, flat::SOURCE4_PORT)),
    })
}

const LOOPBACK: u128 = Ipv6Addr::LOCALHOST.to_bits();

/// Which of the values in the 16 bits it is.
fn unknown(bits: u16) -> Malformed {
    let of = |field, value: u16| Malformed::Value {
        field,
        value: value.into(),
    };
    match (bits >> 5, (bits >> 2) & 7, bits & 3) {
        (protocol @ 3.., ..) => of("protocol", protocol),
        (_, state @ 7.., _) => of("TCP state", state),
        (.., timer) => of("timer", timer),
    }
}

/// Turns the session at the start of `rest` into this machine's byte order.
fn swap(rest: &mut [u8], format: Format) -> Result<(), Refusal> {
    let Some(session) = rest.get_mut(..format.size()) else {
        let length = format.size();
        return Err(Refusal::Framing(Malformed::LengthBeyondBuffer(length)));
    };
    swap_header(session);
    if format == Format::Nested {
        swap_nested(&mut session[Attribute::HEADER..]);
    }
    Ok(())
}

fn swap_header(attribute: &mut [u8]) {
    attribute[Attribute::LENGTH..][..2].reverse();
    attribute[Attribute::KIND..][..2].reverse();
}

/// The places are those of [`Session::to_nested`]; whether they hold what belongs there is checked
/// afterwards. Addresses are in network order whatever the machine.
fn swap_nested(value: &mut [u8]) {
    let mut at = 0;
    let mut next = |length: usize| {
        let start = at;
        at += aligned(Attribute::HEADER + length);
        start
    };
    for address in [16, 16, 4, 4] {
        let outer = next(0);
        swap_header(&mut value[outer..]);
        let inner = next(address);
        swap_header(&mut value[inner..]);
        let port = next(2);
        swap_header(&mut value[port..]);
        value[port + Attribute::HEADER..][..2].reverse();
    }
    for _ in [nested::PROTOCOL, nested::STATE, nested::TIMER] {
        swap_header(&mut value[next(1)..]);
    }
    let expiration = next(4);
    swap_header(&mut value[expiration..]);
    value[expiration + Attribute::HEADER..][..4].reverse();
}

#[cfg(test)]
mod tests {
    use super::super::pool4;
    use super::super::session::{Protocol, State, Timer, tests::session};
    use super::*;
    use proptest::prelude::*;

    const BOTH: [Format; 2] = [Format::Flat, Format::Nested];

    fn sample() -> Session {
        Session {
            source6: ("2001:db8::5".parse().unwrap(), 1000),
            destination6: Some(("64:ff9b::203.0.113.24".parse().unwrap(), 80)),
            source4: "192.0.2.1:61001".parse().unwrap(),
            destination4: "203.0.113.24:80".parse().unwrap(),
            protocol: Protocol::Tcp,
            state: State::Established,
            timer: Timer::Established,
            expiration: 7_200_000,
        }
    }

    fn datagram(sessions: &[Session], format: Format) -> Vec<u8> {
        let mut out = Vec::new();
        sessions
            .iter()
            .for_each(|session| session.emit(format, &mut out));
        out
    }

    fn terms(format: Option<Format>, longest: Option<u32>) -> Terms<'static> {
        Terms {
            format,
            longest,
            ..Terms::default()
        }
    }

    /// What a machine of the other byte order would have sent.
    fn from_afar(mut bytes: Vec<u8>, format: Format) -> Vec<u8> {
        for session in bytes.chunks_exact_mut(format.size()) {
            swap(session, format).unwrap();
        }
        bytes
    }

    fn is_admitted(sessions: &[Session], format: Format) -> bool {
        let mut bytes = datagram(sessions, format);
        let before = bytes.clone();
        let admitted = admit(&mut bytes, &terms(Some(format), None));
        assert_eq!(bytes, before);
        admitted.is_ok_and(|admitted| admitted.length == bytes.len() && !admitted.converted)
    }

    #[test]
    fn sessions_of_both_formats_are_admitted_as_they_are() {
        for format in BOTH {
            assert!(is_admitted(&[sample(); 1], format));
            assert!(is_admitted(&[sample(); 10], format));
        }
    }

    #[test]
    fn what_comes_from_a_machine_of_the_other_byte_order_is_converted() {
        for format in BOTH {
            let native = datagram(&[sample(); 3], format);
            let mut bytes = from_afar(native.clone(), format);
            assert_ne!(bytes, native);
            let admitted = admit(&mut bytes, &terms(Some(format), None)).unwrap();
            assert!(admitted.converted);
            assert_eq!((admitted.length, bytes), (native.len(), native));
        }
    }

    /// The first bytes of a session on a big-endian machine, as RFC 791 would draw them: 40, 1.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_big_endian_routers_header_is_known_by_its_first_bytes() {
        let mut bytes = datagram(&[sample()], Format::Flat);
        bytes[..4].copy_from_slice(&[0, 40, 0, 1]);
        assert!(admit(&mut bytes, &Terms::default()).unwrap().converted);
        assert_eq!(bytes[..4], [40, 0, 1, 0]);
    }

    #[test]
    fn the_other_format_is_refused_unless_any_is_welcome() {
        for (format, other) in [BOTH, [BOTH[1], BOTH[0]]].map(|[a, b]| (a, b)) {
            let mut bytes = datagram(&[sample()], format);
            assert_eq!(
                admit(&mut bytes, &terms(Some(other), None)),
                Err(Refusal::OtherFormat(format))
            );
            assert!(admit(&mut bytes, &Terms::default()).is_ok());
        }
    }

    #[test]
    fn each_cut_and_each_byte_too_many_is_refused() {
        for format in BOTH {
            let whole = datagram(&[sample(); 2], format);
            for length in (1..whole.len()).filter(|length| length % format.size() != 0) {
                let cut = admit(&mut whole[..length].to_vec(), &Terms::default());
                assert!(matches!(cut, Err(Refusal::Framing(_))), "{length}: {cut:?}");
            }
            for more in 1..4 {
                let mut longer = whole.clone();
                longer.resize(whole.len() + more, 0);
                let refused = admit(&mut longer, &Terms::default());
                assert!(matches!(refused, Err(Refusal::Framing(_))), "{refused:?}");
            }
        }
    }

    #[test]
    fn what_follows_a_header_of_length_0_is_not_for_the_kernel() {
        let mut bytes = datagram(&[sample(); 2], Format::Flat);
        let sessions = bytes.len();
        bytes.extend([0, 0, 7, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        assert_eq!(
            admit(&mut bytes, &Terms::default()).unwrap().length,
            sessions
        );
        let mut control = bytes.split_off(sessions);
        assert_eq!(
            admit(&mut control, &Terms::default()),
            Err(Refusal::NoSessions)
        );
    }

    /// The bits of protocol, state and timer that are admitted, of all 65,536.
    #[test]
    fn only_the_values_of_protocol_state_and_timer_that_exist_are_admitted() {
        let mut value = sample().to_flat();
        let mut admitted = Vec::new();
        for bits in 0..=u16::MAX {
            value[flat::BITS..].copy_from_slice(&bits.to_be_bytes());
            match check_flat(&value) {
                Ok(_) => admitted.push(bits),
                Err(problem) => assert!(matches!(problem, Malformed::Value { .. })),
            }
        }
        let exists = |bits: &u16| {
            let (protocol, state, timer) = (bits >> 5, (bits >> 2) & 7, bits & 3);
            state < 7 && ((protocol == 0 && timer < 3) || (protocol < 3 && timer == 0))
        };
        let all: Vec<_> = (0..=u16::MAX).filter(exists).collect();
        assert_eq!(admitted, all);
        assert_eq!(all.len(), 7 * 3 + 7 + 7);
    }

    #[test]
    fn the_bad_session_is_named_by_its_number() {
        let mut bytes = datagram(&[sample(); 3], Format::Flat);
        bytes[2 * 40 + 4 + flat::BITS + 1] = 7 << 2;
        let problem = Malformed::Value {
            field: "TCP state",
            value: 7,
        };
        let number = 2;
        assert_eq!(
            admit(&mut bytes, &Terms::default()),
            Err(Refusal::Session { number, problem })
        );
    }

    #[test]
    fn lifetimes_beyond_the_longest_are_cut_down_to_it_and_no_others() {
        let with = |expiration| Session {
            expiration,
            ..sample()
        };
        let (longest, days) = (7_200_000, 49 * 86_400_000);
        for format in BOTH {
            let before = [with(longest), with(days), with(1), with(longest + 1)];
            let after = [with(longest), with(longest), with(1), with(longest)];
            let native = datagram(&before, format);
            for mut bytes in [native.clone(), from_afar(native.clone(), format)] {
                let admitted = admit(&mut bytes, &terms(None, Some(longest))).unwrap();
                assert_eq!(admitted.shortened, 2);
                assert_eq!(bytes, datagram(&after, format));
            }
            let mut untouched = native.clone();
            assert_eq!(
                admit(&mut untouched, &Terms::default()).unwrap().shortened,
                0
            );
            assert_eq!(untouched, native);
        }
    }

    #[test]
    fn sessions_whose_mask_is_not_in_pool4_are_left_out_and_the_others_stay_in_order() {
        let mut pool4 = Pool4::default();
        let entry = pool4::tests::value(0, "192.0.2.1", 32, (61001, 61009));
        pool4.take(&pool4::tests::attribute(&entry)).unwrap();
        let terms = Terms {
            pool4: Some(&pool4),
            ..Terms::default()
        };
        let with = |port| {
            let mut session = sample();
            session.source4.set_port(port);
            session
        };
        for format in BOTH {
            let mut bytes = datagram(&[with(61001), with(1), with(61002), with(61010)], format);
            let admitted = admit(&mut bytes, &terms).unwrap();
            let expected = datagram(&[with(61001), with(61002)], format);
            assert_eq!(bytes[..admitted.length], expected);
            assert_eq!(admitted.outside, 2);
            let mut bytes = datagram(&[with(1)], format);
            assert_eq!(admit(&mut bytes, &terms).unwrap().length, 0);
            let old = Terms {
                is_pool4_old: true,
                ..terms
            };
            let before = datagram(&[with(61001), with(1)], format);
            let mut bytes = from_afar(before.clone(), format);
            let converted = true;
            assert_eq!(
                admit(&mut bytes, &old),
                Err(Refusal::OldPool4 { converted })
            );
            assert_eq!(bytes, before, "nothing is left out yet");
            assert_eq!(admit(&mut bytes, &terms).unwrap().outside, 1);
        }
    }

    #[test]
    fn odd_sessions_that_a_real_module_makes_are_admitted() {
        let port_0 = ("2001:db8::5".parse().unwrap(), 0);
        let nowhere = ("::".parse().unwrap(), 1);
        for format in BOTH {
            for source6 in [port_0, nowhere] {
                let session = Session {
                    source6,
                    ..sample()
                };
                assert!(is_admitted(&[session], format));
            }
            for destination in [
                "127.0.0.1:1",
                "224.0.0.1:1",
                "0.0.0.0:0",
                "255.255.255.255:1",
            ] {
                let destination4 = destination.parse().unwrap();
                let session = Session {
                    destination4,
                    ..sample()
                };
                assert!(is_admitted(&[session], format));
            }
        }
    }

    #[test]
    fn sources_that_no_host_and_no_pool4_has_are_refused() {
        for format in BOTH {
            for source6 in ["ff02::1", "::1"] {
                let source6 = (source6.parse().unwrap(), 1);
                let session = Session {
                    source6,
                    ..sample()
                };
                assert!(!is_admitted(&[session], format));
            }
            for source4 in ["0.0.0.0:1", "127.0.0.1:1", "224.0.0.1:1", "239.1.1.1:1"] {
                let source4 = source4.parse().unwrap();
                let session = Session {
                    source4,
                    ..sample()
                };
                assert!(!is_admitted(&[session], format));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_sessions_to_the_letter_or_refused(
            sessions in prop::collection::vec(session(), 0..4),
            nested in any::<bool>(),
            afar in any::<bool>(),
            patch in any::<(prop::sample::Index, u8)>(),
            noise in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let format = BOTH[usize::from(nested)];
            let mut bytes = datagram(&sessions, format);
            if afar {
                bytes = from_afar(bytes, format);
            }
            bytes.extend(noise);
            if !bytes.is_empty() {
                let at = patch.0.index(bytes.len());
                bytes[at] = patch.1;
            }
            if let Ok(Admitted { length, .. }) = admit(&mut bytes, &Terms::default()) {
                let format = form(&bytes).map_or(format, |(format, _)| format);
                prop_assert!(length % format.size() == 0);
                for session in super::super::session::sessions(&bytes[..length], format) {
                    prop_assert!(session.is_ok());
                }
            }
        }
    }
}
