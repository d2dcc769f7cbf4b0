//! `joold proxy`: the same daemon without files.

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{LINK, Network, Node, Side, pair};
use jool_simulated::sample;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        a_proxy_and_a_daemon_with_files_are_in_sync
        a_hangup_without_files_is_told_and_changes_nothing
    })
}

/// What Jool's manual has, but for the first word.
fn proxy() -> Program {
    let words = format!(
        "--stderr -i default session proxy ff08::db8:64:64 --net.mcast.port=6464 --net.dev.in={LINK} \
         --net.dev.out={LINK} --net.ttl=3 --stats.address=::1 --stats.port={STATISTICS}"
    );
    let program = Program::new(env!("CARGO_BIN_EXE_joold")).without_files();
    words.split_whitespace().fold(program, Program::argument)
}

fn beside_one_with_files() -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.start_and_wait(&proxy(), &Configuration::default())?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    Ok((j, k))
}

fn a_proxy_and_a_daemon_with_files_are_in_sync() -> Outcome {
    let (mut j, k) = beside_one_with_files()?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    translate(&k, (36..72).map(sample::udp));
    wait_for_sessions(&j, 72)?;
    let told = ask_for_statistics(&j, "[::1]:0", "[::1]")?;
    assert_eq!((told["NET_SENT_PKTS"], told["NET_RCVD_PKTS"]), (1, 1));
    let elsewhere = j.udp("[2001:db8::1]:0")?;
    elsewhere.connect(("2001:db8::1", STATISTICS.parse()?))?;
    elsewhere.send(b"")?;
    assert!(elsewhere.recv(&mut [0]).is_err(), "answered elsewhere");
    let j = daemon(&mut j)?;
    let socket = j.directory().join("joold/default.sock");
    assert!(socket.exists(), "the control socket has its default");
    assert_eq!(j.stop()?.code(), Some(0));
    Ok(())
}

fn a_hangup_without_files_is_told_and_changes_nothing() -> Outcome {
    let (mut j, k) = beside_one_with_files()?;
    let before = daemon(&mut j)?.descriptors()?;
    daemon(&mut j)?.hang_up()?;
    daemon(&mut j)?.wait_for("there are no files to read again")?;
    assert_eq!(daemon(&mut j)?.descriptors()?, before);
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)
}
