//! `jooldctl stats`, for people and for monitoring.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jool_simulated::node::{Network, Side, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{jooldctl, with};
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        all_numbers_are_told_alike_in_every_format
        what_the_kernel_counted_is_told_where_its_numbers_are_known
        what_prometheus_reads_is_well_formed_and_has_the_other_router
    })
}

/// What `stats` prints with that option.
fn stats(socket: &Path, option: &[&str]) -> Result<String, Failed> {
    let output = jooldctl(socket, &[&["stats"], option].concat())?;
    let error = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), &*error), (Some(0), ""));
    Ok(String::from_utf8(output.stdout)?)
}

fn all_numbers_are_told_alike_in_every_format() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    super::start(&mut j, r#", "refresh window": 0"#)?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let socket = daemon(&mut j)?.control_socket();

    let told: Value = serde_json::from_str(&stats(&socket, &["--json"])?)?;
    assert_eq!(told["counters"]["updates from the kernel"], 36);
    assert_eq!(told["counters"]["bytes from the kernel"], 36 * 40);
    let reasons = told["lost"].as_object().ok_or("no reasons")?;
    assert!(reasons.values().all(|times| *times == 0), "{told}");

    let csv = stats(&socket, &["--csv"])?;
    let lines: Vec<Vec<_>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let [names, values] = &lines[..] else {
        return Err(format!("no two lines: {csv}").into());
    };
    assert_eq!(names.len(), values.len());
    assert_eq!(names[..2], ["KERNEL_SENT_PKTS", "KERNEL_SENT_BYTES"]);
    let told: BTreeMap<_, _> = names.iter().zip(values).collect();
    for (name, value) in [
        ("KERNEL_SENT_BYTES", "1440"),
        ("instance", "default"),
        ("standing", "alone"),
        ("may_take_over", "1"),
        ("updates_from_kernel", "36"),
        ("lost_kernel_overrun", "0"),
    ] {
        assert_eq!(told.get(&name), Some(&&value), "{name}: {csv}");
    }

    let listing = stats(&socket, &[])?;
    let mut columns = listing
        .lines()
        .map(|line| line.split_once("  updates from the kernel"));
    let value = columns.find_map(|found| found.map(|(_, value)| value.trim().to_owned()));
    assert_eq!(value.as_deref(), Some("36"), "{listing}");
    Ok(())
}

fn what_the_kernel_counted_is_told_where_its_numbers_are_known() -> Outcome {
    let known = |version, is_known: bool| -> Outcome {
        let (mut j, _k) = pair(version)?;
        // So that the daemon's first look finds them.
        translate(&j, (0..36).map(sample::udp));
        super::start(&mut j, r#", "refresh window": 0"#)?;
        // A batch tells the version.
        translate(&j, (36..72).map(sample::udp));
        let socket = daemon(&mut j)?.control_socket();
        let told = wait::for_some("a version", || {
            let told: Value = serde_json::from_str(&stats(&socket, &["--json"]).ok()?).ok()?;
            (told["counters"]["batches from the kernel"] != 0).then_some(told)
        })?;
        // A second look may have found the others.
        let at_least = |told: &Value, least| told.as_u64() >= Some(least);
        assert!(at_least(&told["sessions"], 36), "{told}");
        let kernels = &told["kernel counters"];
        match is_known {
            true => {
                assert!(at_least(&kernels["updates for the queue"], 36), "{told}");
                assert!(at_least(&kernels["batches to joold"], 1), "{told}");
                assert_eq!(told["ss-max-sessions-per-packet"], 36);
            }
            false => assert_eq!(kernels, &Value::Null),
        }
        Ok(())
    };
    known(Version::SUPPORTED, true)?;
    known(OLD, false)
}

/// The series of a text for Prometheus; fails where it is none.
fn series(text: &str) -> Result<BTreeMap<String, f64>, Failed> {
    let mut series = BTreeMap::new();
    let (mut families, mut helped, mut typed) = (BTreeSet::new(), "", ("", ""));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').ok_or("no help")?.0;
            assert!(families.insert(helped), "twice: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            typed = kind.split_once(' ').ok_or("no type")?;
            assert_eq!(typed.0, helped, "{line}");
            assert_eq!(typed.1 == "counter", helped.ends_with("_total"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').ok_or("no value")?;
            let (family, labels) = name.split_once('{').ok_or("no labels")?;
            assert_eq!(family, typed.0, "{line}");
            assert!(labels.starts_with("jool_instance=\"default\"") && labels.ends_with('}'));
            assert!(
                series.insert(name.to_owned(), value.parse()?).is_none(),
                "{line}"
            );
        }
    }
    assert!(text.ends_with('\n'));
    Ok(series)
}

fn what_prometheus_reads_is_well_formed_and_has_the_other_router() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let mut extended = with("");
    extended.netsocket = Network::Ipv6.netsocket(Side::J, "");
    j.start_and_wait(&program(), &extended)?;
    extended.netsocket = Network::Ipv6.netsocket(Side::K, "");
    k.start_and_wait(&program(), &extended)?;
    daemon(&mut j)?.wait_for("standing: in sync")?;
    let socket = daemon(&mut j)?.control_socket();
    let text = stats(&socket, &["--prometheus"])?;
    let series = series(&text)?;
    let of = |name: &str| series.get(name).copied();
    let standing = |name: &str| {
        of(&format!(
            "joold_standing{{jool_instance=\"default\",standing=\"{name}\"}}"
        ))
    };
    assert_eq!(standing("in sync"), Some(1.0), "{text}");
    assert_eq!(standing("without kernel"), Some(0.0));
    assert_eq!(
        of("joold_may_take_over{jool_instance=\"default\"}"),
        Some(1.0)
    );
    let mut ages = series
        .iter()
        .filter(|(name, _)| name.starts_with("joold_peer_age_seconds{"));
    let (name, age) = ages.next().ok_or("no peer")?;
    assert!(
        name.ends_with("kind=\"joold\"}") && *age >= 0.0,
        "{name} {age}"
    );
    Ok(())
}
