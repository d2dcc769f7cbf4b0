//! What jooldctl has the daemon do.

use std::fs;
use std::path::Path;

use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::sample;
use joold::wire::jool::{Command, Version};
use libtest_mimic::{Failed, Trial};

use super::jooldctl;
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        whoever_has_the_files_read_again_is_told_what_changed_or_what_is_wrong
        the_log_level_is_shown_and_set_until_the_next_start
        the_kernel_tells_its_table_when_it_is_asked_to
        why_the_kernel_does_not_tell_its_table_is_told
    })
}

/// How an order ends: its exit status, and what is printed and said.
fn order(socket: &Path, words: &[&str]) -> Result<(i32, String), Failed> {
    let output = jooldctl(socket, words)?;
    let status = output.status.code().ok_or("a signal ended jooldctl")?;
    let mut said = String::from_utf8(output.stdout)?;
    said.push_str(&String::from_utf8(output.stderr)?);
    Ok((status, said))
}

fn whoever_has_the_files_read_again_is_told_what_changed_or_what_is_wrong() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    super::start(&mut j, "")?;
    let j = daemon(&mut j)?;
    let socket = j.control_socket();
    let netsocket = j.directory().join("netsocket.json");
    let write = |more: &str| fs::write(&netsocket, Network::Ipv6.plain_netsocket(Side::J, more));
    let told = order(&socket, &["reload"])?;
    let unchanged = "the files were read again; they say what they said before\n";
    assert_eq!(told, (0, unchanged.to_owned()));

    write(r#", "ttl": 7, "reuseaddr": 1"#)?;
    let (status, told) = order(&socket, &["reload"])?;
    assert_eq!(status, 0, "{told}");
    let (first, warning) = told.split_once('\n').ok_or("one line")?;
    assert_eq!(first, "the files were read again; \"ttl\" was 1 and is 7");
    assert!(
        warning.starts_with("warning: ") && warning.contains("\"reuseaddr\""),
        "{told}"
    );
    j.wait_for("\"reuseaddr\"")?;
    j.wait_for("\"ttl\" was 1 and is 7")?;

    write(r#", "ttl": 700"#)?;
    let (status, told) = order(&socket, &["reload"])?;
    assert_eq!(status, 78, "{told}");
    let problem = "jooldctl: the files were read again, and nothing was changed: ";
    assert!(
        told.starts_with(problem) && told.contains("\"ttl\": 700 is out of range"),
        "{told}"
    );
    j.wait_for("nothing was changed: ")?;
    Ok(())
}

fn the_log_level_is_shown_and_set_until_the_next_start() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    super::start(&mut j, "")?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    let socket = daemon(&mut j)?.control_socket();
    assert_eq!(order(&socket, &["log-level"])?, (0, "notice\n".to_owned()));
    let told = order(&socket, &["log-level", "debug"])?;
    let set = "the log level was notice and is debug until joold is started again\n";
    assert_eq!(told, (0, set.to_owned()));
    daemon(&mut j)?.wait_for("the log level was notice and is debug")?;
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut j)?.wait_for("debug: sent 1440 bytes")?;
    order(&socket, &["log-level", "error"])?;
    assert_eq!(order(&socket, &["log-level"])?, (0, "error\n".to_owned()));
    daemon(&mut j)?.forget();
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 72)?;
    // A line that somebody asks for is there, whatever the level.
    order(&socket, &["log-level", "error"])?;
    let said = daemon(&mut j)?.wait_for("the log level is error already")?;
    assert!(!said.contains("debug: "), "{said}");
    Ok(())
}

fn advertises(node: &Node) -> usize {
    requests_by_instance(node, Command::JooldAdvertise)
        .get(INSTANCE)
        .copied()
        .unwrap_or_default()
}

fn the_kernel_tells_its_table_when_it_is_asked_to() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    widen_queue(&j);
    super::start(&mut j, r#", "refresh window": 0"#)?;
    translate(&j, (0..360).map(sample::udp));
    flush(&j);
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    let socket = daemon(&mut j)?.control_socket();
    let (status, told) = order(&socket, &["advertise"])?;
    let expected = "the kernel tells its whole table to the other routers\n";
    assert_eq!((status, &*told), (0, expected));
    wait_for_sessions(&k, 360)?;
    assert_eq!(advertises(&j), 1);
    Ok(())
}

fn why_the_kernel_does_not_tell_its_table_is_told() -> Outcome {
    let refused = |node: &mut Node, why: &str| -> Outcome {
        let socket = daemon(node)?.control_socket();
        let (status, told) = order(&socket, &["advertise"])?;
        assert!(status == 71 && told.contains(why), "{status} {told}");
        Ok(())
    };
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    super::start(&mut j, "")?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    refused(&mut j, "the kernel refused to tell its table: \"")?;
    assert_eq!(advertises(&j), 1);
    j.kernel.unload();
    daemon(&mut j)?.wait_for("standing: without kernel")?;
    refused(&mut j, "run \"modprobe jool\"")?;
    j.kernel.load();
    daemon(&mut j)?.wait_for("the kernel does not know the instance")?;
    refused(&mut j, "the instance is missing")?;

    let (mut j, _k) = pair(WITHOUT_QUEUE)?;
    super::start(&mut j, r#", "refresh window": 0"#)?;
    // A batch tells the version.
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut j)?.wait_for("its module is Jool")?;
    refused(
        &mut j,
        "Jool 4.1.9 sends nothing when it is asked for its table",
    )?;
    assert_eq!(advertises(&j), 0);
    Ok(())
}
