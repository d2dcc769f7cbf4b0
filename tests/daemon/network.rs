//! What is on the wire.

use jool_simulated::node::{INSTANCE, LINK, Network, Side, pair};
use jool_simulated::tap::Tap;
use jool_simulated::{requests, sample, wait};
use joold::wire::jool::{Command, Version};
use libtest_mimic::Trial;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        the_hop_limit_is_one_by_default
        a_link_that_was_down_is_used_again
        what_no_router_sends_does_not_reach_the_kernel
    });
    for (name, network) in [("ipv6", Network::Ipv6), ("ipv4", Network::Ipv4)] {
        let garbage = move || no_datagram_crashes_the_kernel_or_the_daemon(network);
        tests.push(case(
            "no_datagram_crashes_the_kernel_or_the_daemon",
            name,
            garbage,
        ));
        let hops = move || the_hop_limit_is_the_configured_one(network);
        tests.push(case("the_hop_limit_is_the_configured_one", name, hops));
    }
    for (name, version) in [("flat", Version::SUPPORTED), ("nested", OLD)] {
        let test = move || a_router_of_the_other_byte_order_is_understood(version);
        tests.push(case(
            "a_router_of_the_other_byte_order_is_understood",
            name,
            test,
        ));
        let test = move || a_datagram_is_what_the_container_held(version);
        tests.push(case("a_datagram_is_what_the_container_held", name, test));
    }
    tests
}

fn the_hop_limit_is_the_configured_one(network: Network) -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let mut three = configuration(network, Side::J);
    three.netsocket = network.plain_netsocket(Side::J, r#", "ttl": 3"#);
    j.start_and_wait(&program(), &three)?;
    let tap = Tap::open(&k.namespace)?;
    translate(&j, (0..36).map(sample::udp));
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    assert_eq!((datagram.ttl, datagram.payload.len()), (3, 36 * 40));
    Ok(())
}

fn the_hop_limit_is_one_by_default() -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let tap = Tap::open(&k.namespace)?;
    translate(&j, (0..36).map(sample::udp));
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    assert_eq!(datagram.ttl, 1);
    Ok(())
}

fn a_datagram_is_what_the_container_held(version: Version) -> Outcome {
    let (j, k) = running(Network::Ipv6, version)?;
    let tap = Tap::open(&k.namespace)?;
    let session = sample::udp(0);
    translate(&j, [session]);
    flush(&j);
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    let format = j.kernel.module().format();
    let read: Vec<_> = joold::wire::session::sessions(&datagram.payload, format).collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[0].unwrap().source6, session.source6);
    Ok(())
}

fn a_link_that_was_down_is_used_again() -> Outcome {
    let (mut j, k) = running(Network::Ipv4ByName, Version::SUPPORTED)?;
    j.namespace.set_up(LINK, false)?;
    translate(&j, (0..36).map(sample::udp));
    wait::a_moment();
    assert_eq!(k.kernel.count(INSTANCE), 0);
    j.namespace.set_up(LINK, true)?;
    wait::for_value("sessions at K", 36, || {
        translate(&j, (0..36).map(sample::udp));
        flush(&j);
        k.kernel.count(INSTANCE)
    })?;
    assert!(daemon(&mut j)?.is_running()?);
    Ok(())
}

fn no_datagram_crashes_the_kernel_or_the_daemon(network: Network) -> Outcome {
    let (mut j, k) = running(network, Version::SUPPORTED)?;
    let tap = Tap::open(&j.namespace)?;
    let mut session = requests::datagram(&[sample::udp(0)], j.kernel.module().format());
    // Nothing, less than an attribute, an attribute that ends the walk, garbage, a session cut off.
    let payloads: [&[u8]; 6] = [b"", b"x", &[0; 3], &[0; 4], &[0xff; 1440], &session[..39]];
    for payload in payloads {
        k.multicast(network, PORT, payload)?;
        let passed = wait::for_some("the datagram on the wire", || tap.next(PORT))?;
        assert_eq!(passed.payload, payload);
    }
    session[4..20].fill(0x20);
    k.multicast(network, PORT, &session)?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(j.kernel.module().oops(), None);
    assert!(daemon(&mut j)?.is_running()?);
    Ok(())
}

fn a_router_of_the_other_byte_order_is_understood(version: Version) -> Outcome {
    let (j, k) = running(Network::Ipv6, version)?;
    let session = sample::udp(7);
    let format = j.kernel.module().format();
    let datagram = requests::from_the_other_byte_order(&[session], format);
    k.multicast(Network::Ipv6, PORT, &datagram)?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(timeless(&j)[0].source6, session.source6);
    Ok(())
}

fn what_no_router_sends_does_not_reach_the_kernel() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let good = requests::datagram(&[sample::udp(0)], j.kernel.module().format());
    let mut state_7 = good.clone();
    state_7[39] = 7 << 2;
    let mut of_two = good.clone();
    of_two.extend(&state_7);
    for bad in [
        &b"\x04\0\x01\0"[..],
        &good[..39],
        &[0xff; 1440],
        &state_7,
        &of_two,
    ] {
        k.multicast(Network::Ipv6, PORT, bad)?;
    }
    k.multicast(Network::Ipv6, PORT, &good)?;
    wait_for_sessions(&j, 1)?;
    let adds = requests_by_instance(&j, Command::JooldAdd);
    assert_eq!(adds.values().sum::<usize>(), 1, "{adds:?}");
    let said = daemon(&mut j)?.wait_for("TCP state is 7")?;
    assert!(
        said.contains("from [2001:db8::2]"),
        "it names the source: {said}"
    );
    Ok(())
}
