//! Refreshes, which are merged: what the peers get, and what they end up with.

use jool_simulated::node::{INSTANCE, Network, Node, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        without_a_window_every_update_passes
        a_new_session_does_not_wait_for_those_that_are_held
        what_is_held_is_sent_at_the_end
    });
    for (name, version) in [("flat", Version::SUPPORTED), ("nested", OLD)] {
        let test = move || refreshes_are_merged_and_the_last_one_arrives(version);
        tests.push(case(
            "refreshes_are_merged_and_the_last_one_arrives",
            name,
            test,
        ));
    }
    tests
}

/// Two routers whose daemons merge refreshes for so many milliseconds.
fn merging(window: u32, version: Version) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(version)?;
    for node in [&mut j, &mut k] {
        let mut configuration = configuration(Network::Ipv6, node.side);
        configuration.modsocket = Some(format!(
            r#"{{ "instance": "default", "refresh window": {window} }}"#
        ));
        widen_queue(node);
        node.start_and_wait(&program(), &configuration)?;
    }
    Ok((j, k))
}

/// Packets of 36 sessions pass through J; from now on they live for so many milliseconds.
fn refresh(j: &Node, lifetime: u32) {
    j.kernel.with(INSTANCE, |jool| jool.globals.udp = lifetime);
    translate(j, (0..36).map(sample::udp));
    flush(j);
}

/// What J's daemon got from its kernel, and what it sent, in bytes of sessions.
fn passed(j: &Node) -> Result<(u64, u64), Failed> {
    let told = ask_for_statistics(j, "[::1]:0", "[::1]")?;
    Ok((told["KERNEL_SENT_BYTES"], told["NET_SENT_BYTES"]))
}

fn lifetimes(node: &Node) -> impl Iterator<Item = u32> {
    let sessions = node.kernel.sessions(INSTANCE);
    sessions.into_iter().map(|session| session.expiration)
}

fn refreshes_are_merged_and_the_last_one_arrives(version: Version) -> Outcome {
    let (j, k) = merging(3000, version)?;
    for _ in 0..20 {
        refresh(&j, 300_000);
    }
    refresh(&j, 600_000);
    wait::for_value("sessions at K with the last lifetime", 36, || {
        lifetimes(&k).filter(|&left| left > 400_000).count()
    })?;
    assert_eq!(timeless(&j), timeless(&k));
    let (from_kernel, sent) = passed(&j)?;
    // Two of 21, as long as 20 refreshes take less than several windows.
    assert!(sent * 4 < from_kernel, "{sent} of {from_kernel} bytes");
    Ok(())
}

fn without_a_window_every_update_passes() -> Outcome {
    let (j, k) = merging(0, Version::SUPPORTED)?;
    for _ in 0..10 {
        refresh(&j, 300_000);
    }
    wait_for_sessions(&k, 36)?;
    let added = || k.kernel.statistics(INSTANCE).sessions_received;
    wait::for_value("updates at K", 360, added)?;
    let (from_kernel, sent) = passed(&j)?;
    assert_eq!(from_kernel, sent);
    Ok(())
}

fn a_new_session_does_not_wait_for_those_that_are_held() -> Outcome {
    let (j, k) = merging(10_000, Version::SUPPORTED)?;
    refresh(&j, 300_000);
    wait_for_sessions(&k, 36)?;
    refresh(&j, 600_000);
    for number in 0..20 {
        translate(&j, [sample::udp(100 + number)]);
        refresh(&j, 600_000);
        wait_for_sessions(&k, 37 + number as usize)?;
    }
    let told = lifetimes(&k).filter(|&left| left > 400_000).count();
    assert_eq!(told, 20, "the others are still held");
    Ok(())
}

fn what_is_held_is_sent_at_the_end() -> Outcome {
    let (mut j, k) = merging(10_000, Version::SUPPORTED)?;
    refresh(&j, 300_000);
    wait_for_sessions(&k, 36)?;
    refresh(&j, 600_000);
    wait::for_value("batches received", 2 * 36 * 40, || {
        passed(&j).map_or(0, |(from_kernel, _)| from_kernel)
    })?;
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    wait::for_value("sessions at K with the last lifetime", 36, || {
        lifetimes(&k).filter(|&left| left > 400_000).count()
    })?;
    Ok(())
}
