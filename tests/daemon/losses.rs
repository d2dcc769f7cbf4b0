//! Buffers that are full.

use jool_simulated::node::{INSTANCE, LINK, Network};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::Trial;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        a_network_without_room_makes_the_kernel_wait_and_loses_nothing
        a_full_socket_buffer_is_reported_and_survived
    })
}

/// The link takes 4 Mbit/s, and the socket's buffer is far smaller than the table.
fn a_network_without_room_makes_the_kernel_wait_and_loses_nothing() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let slow = "qdisc add dev DEV root tbf rate 4mbit burst 16kb limit 4mb".replace("DEV", LINK);
    j.namespace.tc(&slow.split(' ').collect::<Vec<_>>())?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    translate(&j, (0..8_000).map(sample::udp));
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    j.kernel.advertise(INSTANCE)?;
    wait_for_sessions(&k, 8_000)?;
    let daemon = daemon(&mut j)?;
    assert_eq!(daemon.stop()?.code(), Some(0));
    daemon.wait_for("waited for room in the network: ")?;
    assert!(!daemon.said().contains("cannot send"), "{}", daemon.said());
    Ok(())
}

fn a_full_socket_buffer_is_reported_and_survived() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.pause()?;
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 0;
        jool.globals.ss_capacity = 100_000;
    });
    let advertised = (0..20_000).map(sample::udp);
    translate(&j, advertised);
    daemon(&mut j)?.resume()?;
    daemon(&mut j)?.wait_for("buffer full")?;
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 2000;
        jool.globals.ss_capacity = 512;
    });
    j.kernel.tick();
    wait::for_value("an empty queue", true, || {
        flush(&j);
        j.kernel.with(INSTANCE, |jool| jool.queued()) == Some(0)
    })?;
    wait::for_value("all sessions at K after an advertisement", 20_000, || {
        // Refused while the last one goes on.
        let _ = j.kernel.advertise(INSTANCE);
        k.kernel.count(INSTANCE)
    })?;
    Ok(())
}
