use super::*;
use crate::status::PeerKind;

fn status() -> Status {
    let total = |name, value| Count::total(name, name, value);
    Status {
        standing: Standing::InSync,
        may_take_over: true,
        instance: r#"a "b", c"#.to_owned(),
        module_version: None,
        ss_enabled: None,
        ss_flush_deadline: None,
        ss_capacity: Some(512),
        ss_max_sessions_per_packet: None,
        sessions: Some(8),
        kernel_counters: None,
        multicast_address: String::new(),
        multicast_port: 1,
        in_interface: None,
        out_interface: None,
        receives_over: None,
        sends_over: None,
        version: "1.2.3",
        pid: 1,
        counters: vec![
            total("batches_from_kernel", 1),
            total("bytes_from_kernel", 2),
            Count::level("updates_held", "updates held", 7),
            total("datagrams_from_network", 3),
            total("bytes_from_network", 4),
            total("datagrams_to_network", 5),
            total("bytes_to_network", 6),
        ],
        lost: vec![(Reason::NotFromKernel, 0), (Reason::OutsidePool4, 9)],
        peers: Vec::new(),
    }
}

fn peer(address: &str) -> PeerStatus {
    PeerStatus {
        address: address.to_owned(),
        kind: PeerKind::Joold,
        node_id: Some("00c0ffee".to_owned()),
        age_ms: 1050,
        standing: Some(Standing::Alone),
        lost: 3,
        repaired: 2,
        lag: 1,
    }
}

#[test]
fn each_family_says_what_it_is_before_its_series() {
    let mut status = status();
    status.peers = vec![peer("[2001:db8::2]:6464")];
    let text = Format::Prometheus.write(&status);
    let peer =
        r#"{jool_instance="a \"b\", c",address="[2001:db8::2]:6464",node="00c0ffee",kind="joold"}"#;
    for expected in [
        "# HELP joold_bytes_from_kernel_total bytes_from_kernel\n\
         # TYPE joold_bytes_from_kernel_total counter\n\
         joold_bytes_from_kernel_total{jool_instance=\"a \\\"b\\\", c\"} 2\n",
        "# TYPE joold_updates_held gauge\n",
        "joold_standing{jool_instance=\"a \\\"b\\\", c\",standing=\"in sync\"} 1\n",
        "joold_standing{jool_instance=\"a \\\"b\\\", c\",standing=\"alone\"} 0\n",
        "joold_lost_total{jool_instance=\"a \\\"b\\\", c\",reason=\"outside_pool4\"} 9\n",
        &format!("# TYPE joold_peer_age_seconds gauge\njoold_peer_age_seconds{peer} 1.050\n"),
        &format!("joold_peer_repaired_total{peer} 2\n"),
        &format!("joold_peer_lag{peer} 1\n"),
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_family_without_a_series_is_left_out() {
    let text = Format::Prometheus.write(&status());
    assert!(!text.contains("joold_peer_"), "{text}");
}

#[test]
fn comma_separated_values_begin_with_upstreams_and_keep_a_place_for_what_is_not_known() {
    let text = Format::Csv.write(&status());
    assert_eq!(
        text,
        "KERNEL_SENT_PKTS,KERNEL_SENT_BYTES,NET_RCVD_PKTS,NET_RCVD_BYTES,NET_SENT_PKTS,NET_SENT_BYTES,\
         instance,standing,may_take_over,peers,kernel_sessions,kernel_ss_enabled,\
         kernel_ss_flush_deadline_milliseconds,kernel_ss_capacity,kernel_ss_max_sessions_per_packet,\
         updates_held,kernel_updates_queued,kernel_updates_dropped,kernel_sessions_sent,\
         kernel_batches_sent,kernel_advertises,kernel_acknowledgements,kernel_sessions_received,\
         kernel_requests_received,lost_not_from_kernel,lost_outside_pool4\n\
         1,2,3,4,5,6,\"a \"\"b\"\", c\",in sync,1,0,8,,,512,,7,,,,,,,,,0,9\n"
    );
}

#[test]
fn lines_are_a_name_and_a_number_that_is_known() {
    let text = Format::Lines.write(&status());
    let expected = "may_take_over 1\npeers 0\nkernel_sessions 8\nkernel_ss_capacity 512\n\
                    batches_from_kernel 1\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.ends_with("lost_not_from_kernel 0\nlost_outside_pool4 9\n"),
        "{text}"
    );
}

#[test]
fn json_has_reasons_that_never_happened() {
    let text = Format::Json.write(&status());
    assert!(text.ends_with("}\n"), "{text}");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["lost"][Reason::NotFromKernel.name()], 0);
    assert_eq!(told["counters"]["updates held"], 7);
    assert_eq!(told["standing"], "in sync");
}

/// Whether a name is one that Prometheus takes.
fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Sixteen of upstream's besides, more than which no daemon remembers.
#[test]
fn all_numbers_of_the_largest_group_fit_into_a_datagram() {
    let mut status = status();
    status.instance = "\"".repeat(15);
    let counts = crate::engine::Counters::default().counts();
    status.counters = counts
        .into_iter()
        .map(|count| Count {
            value: u64::MAX,
            ..count
        })
        .collect();
    status.kernel_counters = Some(kernel_counters(Synchronization::default()));
    status.lost = Reason::ALL
        .iter()
        .map(|&reason| (reason, u64::MAX))
        .collect();
    let longest = "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535";
    status.peers = vec![peer(longest); 32 + 16];
    for peer in &mut status.peers {
        (peer.age_ms, peer.lost, peer.repaired, peer.lag) =
            (u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    }
    for format in [Format::Lines, Format::Json, Format::Prometheus] {
        let length = format.write(&status).len();
        assert!(length <= crate::statsocket::LONGEST, "{format:?}: {length}");
    }
}

#[test]
fn the_real_names_are_names_and_each_is_there_once() {
    let counts = crate::engine::Counters::default().counts();
    let mut names: Vec<_> = counts.iter().map(|count| count.name.to_owned()).collect();
    names.extend(
        Reason::ALL
            .iter()
            .map(|reason| format!("lost_{}", reason.id())),
    );
    for name in &names {
        assert!(is_name(name), "{name}");
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for (_, upstreams) in flat::UPSTREAMS {
        assert!(names.iter().any(|name| name == upstreams), "{upstreams}");
    }
}
