//! What the kernel says, and what it refuses.

use std::env;

use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::server::Forger;
use jool_simulated::{message, requests, sample, wait};
use joold::wire::jool::{Command, Version};
use libtest_mimic::Trial;

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        each_batch_that_comes_alone_is_acknowledged_once
        a_burst_is_released_to_its_end
        a_missing_instance_is_reported_once_and_asked_for_nothing
        disabled_synchronization_is_reported_once_and_asked_for_nothing
        a_refusal_of_sessions_is_told_in_the_kernels_words_and_has_the_instance_looked_at
        a_collision_is_reported_and_its_neighbours_are_added
        a_missing_permission_is_reported
        another_minor_version_is_an_error_that_names_both
        a_module_of_another_minor_version_refuses_and_is_quoted
        a_netlink_message_from_anybody_but_the_kernel_is_ignored
        a_netlink_message_too_long_to_read_is_nobodys_but_its_senders
        without_the_module_it_waits_and_says_what_to_load
        a_reloaded_module_is_served_by_the_same_sockets
        what_a_module_told_before_it_went_reaches_the_peer
        a_router_that_only_receives_notices_a_reload
        a_module_that_is_reloaded_again_and_again_is_served_each_time
    })
}

fn each_batch_that_comes_alone_is_acknowledged_once() -> Outcome {
    let (j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let acks = || j.kernel.statistics(INSTANCE).acks;
    wait::a_moment();
    // A daemon may acknowledge at its start what its predecessor did not.
    let before = acks();
    for number in 0..4 {
        translate(&j, (number * 36..(number + 1) * 36).map(sample::udp));
        let expected = before + u64::from(number) + 1;
        wait::for_value("acknowledgements", expected, acks)?;
        wait::a_moment();
        assert_eq!(acks(), expected);
    }
    assert_eq!(j.kernel.statistics(INSTANCE).packets_sent, 4);
    Ok(())
}

fn a_burst_is_released_to_its_end() -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    widen_queue(&j);
    translate(&j, (0..36 * 100).map(sample::udp));
    wait_for_sessions(&k, 36 * 100)?;
    assert_eq!(j.kernel.statistics(INSTANCE).packets_sent, 100);
    // What the kernel has next, it still sends without waiting for its deadline.
    translate(&j, (4000..4036).map(sample::udp));
    wait_for_sessions(&k, 36 * 101)
}

/// Batches that J's kernel multicasts one after the other.
fn send_batches(j: &Node, count: u32) -> Outcome {
    for number in 0..count {
        let sent = || j.kernel.statistics(INSTANCE).packets_sent;
        let before = sent();
        translate(j, (number * 36..(number + 1) * 36).map(sample::udp));
        wait::for_some("the batch to leave", || (sent() > before).then_some(()))?;
    }
    Ok(())
}

/// Checks that nothing of many batches reaches K's kernel, that no line tells of each, and that all of
/// them are counted.
fn nothing_is_passed_on(j: &Node, k: &mut Node) -> Outcome {
    let adds = |k: &Node| {
        let adds = requests_by_instance(k, Command::JooldAdd);
        adds.values().sum::<usize>()
    };
    let (before, lines) = (adds(k), daemon(k)?.said().lines().count());
    send_batches(j, 50)?;
    wait::for_value("datagrams at K", 50, || {
        let told = ask_for_statistics(k, "[::1]:0", "[::1]");
        told.map_or(0, |told| told["NET_RCVD_PKTS"])
    })?;
    assert_eq!(adds(k), before);
    let said = daemon(k)?.said();
    assert!(said.lines().count() <= lines + 2, "{said}");
    daemon(k)?.ask_for_counters()?;
    daemon(k)?.wait_for("dropped while the instance took no sessions: 50")?;
    Ok(())
}

/// What a daemon says once its instance is as it should be.
const SERVED: &str = "sessions are synchronized";

fn a_missing_instance_is_reported_once_and_asked_for_nothing() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel.remove_instance(INSTANCE);
    let said = daemon(&mut k)?.wait_for("the instance was removed")?;
    assert!(
        said.contains("\"This namespace lacks an instance named 'default'.\" (error 3)"),
        "{said}"
    );
    nothing_is_passed_on(&j, &mut k)?;
    k.kernel.add_instance(INSTANCE);
    daemon(&mut k)?.wait_for_times(SERVED, 2)?;
    assert_eq!(daemon(&mut k)?.times(SERVED), 2);
    sessions_pass(&j, &k)
}

fn disabled_synchronization_is_reported_once_and_asked_for_nothing() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    daemon(&mut k)?.wait_for("synchronization was turned off")?;
    nothing_is_passed_on(&j, &mut k)?;
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    daemon(&mut k)?.wait_for("synchronization was turned on")?;
    sessions_pass(&j, &k)
}

/// Checks that new sessions pass, whatever of earlier ones is on its way.
fn sessions_pass(j: &Node, k: &Node) -> Outcome {
    let new = sample::udp(5_000).source6;
    translate(j, (5_000..5_072).map(sample::udp));
    Ok(wait::for_some("a new session at K", || {
        let sessions = timeless(k);
        sessions
            .iter()
            .any(|session| session.source6 == new)
            .then_some(())
    })?)
}

fn a_refusal_of_sessions_is_told_in_the_kernels_words_and_has_the_instance_looked_at() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut k)?.wait_for("sessions are synchronized")?;
    wait_for_a_look(&k)?;
    // Right after a look: the next one is three seconds away.
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    translate(&j, (0..36).map(sample::udp));
    let said = daemon(&mut k)?.wait_for("synchronization was turned off")?;
    assert!(
        said.contains("\"Session sync is disabled on this instance.\" (error 22)"),
        "{said}"
    );
    Ok(())
}

fn a_collision_is_reported_and_its_neighbours_are_added() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let mut other = sample::udp(0);
    other.source4.set_port(1234);
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    k.kernel.translate(INSTANCE, &other);
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    daemon(&mut k)?.wait_for("(error 22)")?;
    assert!(timeless(&k).contains(&other), "the older one stays");
    Ok(())
}

fn a_missing_permission_is_reported() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel.module().administrator = false;
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut k)?.wait_for("CAP_NET_ADMIN")?;
    assert!(daemon(&mut k)?.is_running()?);
    Ok(())
}

fn another_minor_version_is_an_error_that_names_both() -> Outcome {
    let (j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    wait_for_a_look(&j)?;
    let (family, group) = {
        let module = j.kernel.module();
        (module.family().unwrap(), module.group().unwrap())
    };
    let header = message::own_header(Version::new(4, 2, 0), &requests::name(INSTANCE));
    let acks = || requests_by_instance(&j, Command::JooldAck);
    let before = acks();
    let sessions = requests::datagram(&[sample::udp(0)], j.kernel.module().format());
    j.kernel
        .multicast(&message::batch(family, &header, &sessions));
    let said = j.daemon.as_ref().unwrap().wait_for("4.2.0")?;
    let line = said.lines().find(|line| line.contains("4.2.0")).unwrap();
    assert!(line.contains("4.1"), "group {group}: {line}");
    wait::a_moment();
    assert_eq!(acks(), before, "and no acknowledgement");
    Ok(())
}

fn a_module_of_another_minor_version_refuses_and_is_quoted() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    k.kernel
        .change(|module, now| module.replace(Version::new(4, 2, 0), now));
    k.kernel.add_instance(INSTANCE);
    let network = Network::Ipv6;
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    let said = daemon(&mut k)?.wait_for("4.2.0")?;
    assert!(said.contains("4.1.13"), "{said}");
    Ok(())
}

fn a_netlink_message_from_anybody_but_the_kernel_is_ignored() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let (family, group, format) = {
        let module = j.kernel.module();
        let (family, group) = (module.family(), module.group());
        (family.unwrap(), group.unwrap(), module.format())
    };
    let header = message::own_header(Version::SUPPORTED, &requests::name(INSTANCE));
    let sessions = requests::datagram(&[sample::udp(0)], format);
    let forged = message::batch(family, &header, &sessions);
    let forger = Forger::open(&j.namespace)?;
    forger.multicast(group, &forged);
    if env::var_os("JOOLD_UNDER_TEST").is_none() {
        daemon(&mut j)?.wait_for("port id")?;
    }
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    assert!(!timeless(&k).contains(&sample::udp(0)));
    Ok(())
}

/// A part of it is missing, but not its sender: it earns no acknowledgement, nor advice about Jool.
fn a_netlink_message_too_long_to_read_is_nobodys_but_its_senders() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let group = j.kernel.module().group().unwrap();
    let acks = || j.kernel.statistics(INSTANCE).acks;
    wait::a_moment();
    let before = acks();
    Forger::open(&j.namespace)?.multicast(group, &[0; 100_000]);
    daemon(&mut j)?.wait_for("netlink message from another process ignored")?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let acks = j.kernel.statistics(INSTANCE).acks;
    assert_eq!(acks, before + 1);
    let said = daemon(&mut j)?.said();
    assert!(!said.contains("longer than the buffer"), "{said}");
    Ok(())
}

fn without_the_module_it_waits_and_says_what_to_load() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.kernel.unload();
    let network = Network::Ipv6;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    j.start(&program(), &configuration(network, Side::J))?;
    let said = daemon(&mut j)?.wait_for("modprobe jool")?;
    assert!(said.contains("not loaded"), "{said}");
    load_again(&j)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)
}

/// Loads the module and creates the instance, and waits until the daemon hears it.
fn load_again(node: &Node) -> Outcome {
    node.kernel.load();
    node.kernel.add_instance(INSTANCE);
    Ok(node.wait_until_it_hears_the_kernel()?)
}

/// Names of what the daemon has open, by its numbers.
fn descriptors(node: &mut Node) -> Result<Vec<String>, libtest_mimic::Failed> {
    Ok(daemon(node)?.descriptors()?)
}

fn a_reloaded_module_is_served_by_the_same_sockets() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = descriptors(&mut j)?;
    j.kernel.unload();
    daemon(&mut j)?.wait_for("was unloaded")?;
    load_again(&j)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    k.kernel.translate(INSTANCE, &sample::udp(1000));
    flush(&k);
    wait_for_sessions(&j, 37)?;
    assert_eq!(descriptors(&mut j)?, before);
    Ok(())
}

fn a_router_that_only_receives_notices_a_reload() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel.unload();
    daemon(&mut k)?.wait_for("was unloaded")?;
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut k)?.wait_for("receiving sessions from the network")?;
    let served = daemon(&mut k)?.times(SERVED);
    load_again(&k)?;
    // It may have looked before there was an instance, and drops what comes until it looks again.
    daemon(&mut k)?.wait_for_times(SERVED, served + 1)?;
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 36)
}

fn what_a_module_told_before_it_went_reaches_the_peer() -> Outcome {
    const COUNT: u32 = 300;
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.pause()?;
    // Each is a batch, acknowledged or not: more of them than are read in one turn.
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = 0);
    translate(&j, (0..COUNT).map(sample::udp));
    j.kernel.unload();
    daemon(&mut j)?.resume()?;
    wait_for_sessions(&k, COUNT as usize)
}

fn a_module_that_is_reloaded_again_and_again_is_served_each_time() -> Outcome {
    const TIMES: u32 = 40;
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = descriptors(&mut j)?;
    for time in 0..TIMES {
        j.kernel.unload();
        load_again(&j)?;
        translate(&j, (time * 36..(time + 1) * 36).map(sample::udp));
        wait_for_sessions(&k, 36 * (time as usize + 1))?;
    }
    assert_eq!(descriptors(&mut j)?, before);
    Ok(())
}
