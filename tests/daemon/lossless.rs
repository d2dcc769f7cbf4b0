//! With extensions, which are the default: nothing is lost, and a router knows whether it has everything.

use jool_simulated::daemon::Configuration;
use jool_simulated::node::{INSTANCE, LINK, Network, Node, Side, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::losses::number_after;
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        what_was_made_while_a_daemon_was_dead_is_there_once_it_is_back
        what_a_kernel_made_without_a_daemon_reaches_the_others
        two_daemons_give_each_other_what_their_kernels_have
        a_table_of_nested_sessions_is_read
        an_instance_that_was_created_anew_is_filled
        datagrams_that_a_full_buffer_dropped_are_repeated
        what_cannot_be_repeated_any_more_is_read_from_the_table
        what_left_while_the_link_was_down_is_repeated
        batches_that_the_daemon_lost_are_read_from_its_table
        what_a_module_without_a_queue_dropped_is_read_from_its_table
        a_router_is_in_sync_once_it_has_everything_and_alone_once_the_other_is_gone
        a_daemon_without_extensions_gets_all_that_is_told
    })
}

/// As the files of a router are that has no more than it must.
fn extended(side: Side, more: &str) -> Configuration {
    with(Network::Ipv6, side, more)
}

fn with(network: Network, side: Side, more: &str) -> Configuration {
    Configuration {
        netsocket: network.netsocket(side, more),
        ..configuration(network, side)
    }
}

/// Two routers whose daemons have found each other.
fn in_sync(network: Network) -> Result<(Node, Node), Failed> {
    in_sync_with(network, Version::SUPPORTED)
}

fn in_sync_with(network: Network, version: Version) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(version)?;
    for node in [&mut j, &mut k] {
        node.start_and_wait(&program(), &with(network, node.side, ""))?;
    }
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for("standing: in sync")?;
    }
    Ok((j, k))
}

fn wait_until_equal(j: &Node, k: &Node, count: usize) -> Outcome {
    for node in [j, k] {
        wait_for_sessions(node, count)?;
    }
    Ok(wait::for_value("the same sessions at both", true, || {
        timeless(j) == timeless(k)
    })?)
}

/// A number that a daemon has counted, once it says it: of what is 0 it says nothing.
fn counted(node: &mut Node, what: &str) -> Result<u64, Failed> {
    let daemon = daemon(node)?;
    daemon.ask_for_counters()?;
    let text = format!("; {what}: ");
    let said = daemon.wait_for(&text)?;
    number_after(&said, &text).ok_or_else(|| said.into())
}

fn what_was_made_while_a_daemon_was_dead_is_there_once_it_is_back() -> Outcome {
    let (j, mut k) = in_sync(Network::Ipv6)?;
    daemon(&mut k)?.kill();
    translate(&j, (0..750).map(sample::udp));
    flush_all(&j);
    k.start_and_wait(&program(), &extended(Side::K, ""))?;
    wait_until_equal(&j, &k, 750)?;
    daemon(&mut k)?.wait_for("standing: in sync")?;
    Ok(())
}

/// Until the kernel has told all that it has queued.
fn flush_all(node: &Node) {
    let queued = || node.kernel.with(INSTANCE, |jool| jool.queued());
    let _ = wait::for_value("an empty queue", Some(0), || {
        node.kernel.tick();
        queued()
    });
}

fn what_a_kernel_made_without_a_daemon_reaches_the_others() -> Outcome {
    let (mut j, k) = in_sync(Network::Ipv6)?;
    daemon(&mut j)?.kill();
    // Nobody listens: the kernel multicasts what it makes to nobody.
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    translate(&j, (0..300).map(sample::udp));
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    j.start_and_wait(&program(), &extended(Side::J, ""))?;
    wait_until_equal(&j, &k, 300)
}

fn two_daemons_give_each_other_what_their_kernels_have() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    for (node, first) in [(&j, 0), (&k, 10_000)] {
        node.kernel
            .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
        translate(node, (first..first + 300).map(sample::udp));
        node.kernel
            .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    }
    for node in [&mut j, &mut k] {
        node.start_and_wait(&program(), &extended(node.side, ""))?;
    }
    wait_until_equal(&j, &k, 600)
}

/// The module of J's daemon has told its version by a batch; that of K's has not.
fn a_table_of_nested_sessions_is_read() -> Outcome {
    let (mut j, mut k) = pair(OLD)?;
    for node in [&mut j, &mut k] {
        node.start_and_wait(&program(), &extended(node.side, ""))?;
    }
    translate(&j, (0..40).map(sample::udp));
    flush_all(&j);
    wait_until_equal(&j, &k, 40)?;
    daemon(&mut k)?.kill();
    translate(&j, (40..400).map(sample::udp));
    flush_all(&j);
    k.start_and_wait(&program(), &extended(Side::K, ""))?;
    wait_until_equal(&j, &k, 400)
}

fn an_instance_that_was_created_anew_is_filled() -> Outcome {
    let (j, mut k) = in_sync(Network::Ipv6)?;
    translate(&j, (0..500).map(sample::udp));
    flush_all(&j);
    wait_until_equal(&j, &k, 500)?;
    k.kernel.remove_instance(INSTANCE);
    daemon(&mut k)?.wait_for("standing: without kernel")?;
    k.kernel.add_instance(INSTANCE);
    wait_until_equal(&j, &k, 500)
}

/// K does not read while J tells, and its buffer is small.
fn deafened(repair_buffer: &str) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.start_and_wait(&program(), &extended(Side::J, repair_buffer))?;
    let small = extended(Side::K, r#", "receive buffer": 131072"#);
    k.start_and_wait(&program(), &small)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for("standing: in sync")?;
    }
    daemon(&mut k)?.pause()?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_capacity = 100_000);
    translate(&j, (0..10_000).map(sample::udp));
    flush_all(&j);
    daemon(&mut k)?.resume()?;
    Ok((j, k))
}

fn datagrams_that_a_full_buffer_dropped_are_repeated() -> Outcome {
    let (j, mut k) = deafened("")?;
    wait_until_equal(&j, &k, 10_000)?;
    assert!(counted(&mut k, "of those, made up for")? > 100);
    Ok(())
}

fn what_cannot_be_repeated_any_more_is_read_from_the_table() -> Outcome {
    let (j, mut k) = deafened(r#", "repair buffer": 65536"#)?;
    wait_until_equal(&j, &k, 10_000)?;
    assert!(counted(&mut k, "parts of other tables taken")? > 300);
    Ok(())
}

fn what_left_while_the_link_was_down_is_repeated() -> Outcome {
    // Linux forgets IPv6 addresses of an interface that goes down.
    let (j, mut k) = in_sync(Network::Ipv4ByName)?;
    k.namespace.set_up(LINK, false)?;
    translate(&j, (0..720).map(sample::udp));
    flush_all(&j);
    k.namespace.set_up(LINK, true)?;
    wait_until_equal(&j, &k, 720)?;
    daemon(&mut k)?.wait_for("standing: in sync")?;
    Ok(())
}

/// J's daemon does not read while its kernel tells more than its netlink buffer holds.
fn batches_that_the_daemon_lost_are_read_from_its_table() -> Outcome {
    let (mut j, k) = in_sync(Network::Ipv6)?;
    daemon(&mut j)?.pause()?;
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 0;
        jool.globals.ss_capacity = 100_000;
    });
    translate(&j, (0..20_000).map(sample::udp));
    daemon(&mut j)?.resume()?;
    daemon(&mut j)?.wait_for("netlink receive buffer full")?;
    wait_until_equal(&j, &k, 20_000)
}

/// J's daemon does not read while its kernel has more to tell than fits into a packet.
fn what_a_module_without_a_queue_dropped_is_read_from_its_table() -> Outcome {
    let (mut j, k) = in_sync_with(Network::Ipv6, WITHOUT_QUEUE)?;
    daemon(&mut j)?.pause()?;
    translate(&j, (0..60).map(sample::udp));
    daemon(&mut j)?.resume()?;
    daemon(&mut j)?.wait_for("Jool before 4.1.11")?;
    wait_until_equal(&j, &k, 60)
}

fn a_router_is_in_sync_once_it_has_everything_and_alone_once_the_other_is_gone() -> Outcome {
    let (mut j, mut k) = in_sync(Network::Ipv6)?;
    let said = daemon(&mut j)?.said();
    assert!(said.contains("another joold is there: "), "{said}");
    daemon(&mut k)?.kill();
    daemon(&mut j)?.wait_for("nothing is heard any more of the joold")?;
    daemon(&mut j)?.wait_for("standing: alone")?;
    Ok(())
}

fn a_daemon_without_extensions_gets_all_that_is_told() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.start_and_wait(&program(), &extended(Side::J, ""))?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    // What a full queue of K's kernel drops, nobody would make up for.
    for node in [&j, &k] {
        node.kernel
            .with(INSTANCE, |jool| jool.globals.ss_capacity = 100_000);
    }
    translate(&j, (0..720).map(sample::udp));
    translate(&k, (10_000..10_720).map(sample::udp));
    for node in [&j, &k] {
        flush_all(node);
    }
    wait_until_equal(&j, &k, 1440)
}
