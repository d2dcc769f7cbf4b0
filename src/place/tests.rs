use super::*;
use crate::config::{Document, Surroundings};

fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        alternatives: Vec::new(),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        state: State::Up,
        mtu: 1500,
    }
}

fn in_state(state: State, interface: Interface) -> Interface {
    Interface { state, ..interface }
}

fn config(group: &str, interfaces: &str) -> NetsocketConfig {
    let text = format!(r#"{{"multicast address": "{group}", "multicast port": 6464{interfaces}}}"#);
    let document = Document::parse("netsocket.json".to_owned(), text.as_bytes()).unwrap();
    let surroundings = Surroundings { host: |_| None };
    let (config, _) = NetsocketConfig::from_document(document, &surroundings).unwrap();
    config
}

fn both(link: &str) -> NetsocketConfig {
    let both = format!(r#", "in interface": "{link}", "out interface": "{link}""#);
    config("ff08::db8:64:64", &both)
}

fn nobody() -> Option<IpAddr> {
    panic!("the kernel has no choice")
}

/// One look after the other: at each, the place, and the news.
fn looks(config: &NetsocketConfig, looks: &[&[Interface]]) -> Vec<(Place, Vec<News>)> {
    let mut all: Vec<(Place, Vec<News>)> = Vec::new();
    for interfaces in looks {
        let interfaces = Interfaces::of(interfaces.to_vec());
        let used = all.last().map(|(place, _)| place);
        let place = Place::find(config, &interfaces, used, nobody);
        let news = place.news(used, &interfaces);
        all.push((place, news));
    }
    all
}

fn indices(looks: &[(Place, Vec<News>)]) -> Vec<Option<u32>> {
    looks
        .iter()
        .map(|(place, _)| place.outgoing.index())
        .collect()
}

/// Those of each look, by what they begin with: `!` for trouble.
fn told(looks: &[(Place, Vec<News>)]) -> Vec<Vec<String>> {
    let short = |news: &News| match news {
        News::Bad(text) => format!("!{text}"),
        News::Good(text) => text.clone(),
    };
    let all = looks.iter().map(|(_, news)| news);
    all.map(|news| news.iter().map(short).collect()).collect()
}

#[test]
fn an_interface_that_comes_goes_and_comes_again_is_told_once_each_time() {
    let looks = looks(
        &both("eth0"),
        &[
            &[],
            &[],
            &[interface(2, "eth0", &[])],
            &[interface(2, "eth0", &[])],
            &[],
            &[interface(7, "eth0", &[])],
        ],
    );
    assert_eq!(
        indices(&looks),
        [None, None, Some(2), Some(2), None, Some(7)]
    );
    let told = told(&looks);
    assert!(told[0][0].starts_with("!there is no interface \"eth0\", and nothing"));
    assert_eq!(
        told.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 0, 1, 0, 1, 1]
    );
    assert_eq!(told[2], ["the interface eth0 is there"]);
    assert!(looks[0].0.is_nowhere() && !looks[2].0.is_nowhere());
    assert!(looks[5].0.needs_opening(&looks[4].0) && looks[5].0.may_have_missed(&looks[4].0));
}

#[test]
fn a_new_interface_of_the_same_name_is_another_place_even_if_the_gap_was_not_seen() {
    let looks = looks(
        &both("eth0"),
        &[&[interface(2, "eth0", &[])], &[interface(7, "eth0", &[])]],
    );
    let (new, old) = (&looks[1].0, &looks[0].0);
    assert!(new.needs_opening(old) && new.may_have_missed(old));
    assert!(!old.needs_opening(old) && !old.may_have_missed(old));
}

#[test]
fn a_renamed_interface_is_used_until_another_has_its_name() {
    let looks = looks(
        &both("eth0"),
        &[
            &[interface(2, "eth0", &[])],
            &[interface(2, "lan0", &[])],
            &[interface(2, "lan0", &[])],
            &[interface(2, "lan0", &[]), interface(5, "eth0", &[])],
            &[interface(2, "eth0", &[])],
        ],
    );
    assert_eq!(
        indices(&looks),
        [Some(2), Some(2), Some(2), Some(5), Some(2)]
    );
    let told = told(&looks);
    assert!(told[1][0].contains("which is lan0 now"), "{told:?}");
    assert_eq!(
        told.iter().map(Vec::len).collect::<Vec<_>>(),
        [0, 1, 0, 1, 0]
    );
    assert!(!looks[1].0.needs_opening(&looks[0].0));
    assert!(looks[3].0.needs_opening(&looks[2].0));
}

#[test]
fn an_interface_by_address_follows_the_address() {
    let address = "192.0.2.1";
    let looks = looks(
        &both(address),
        &[
            &[interface(2, "eth0", &[address]), interface(3, "eth1", &[])],
            &[interface(2, "eth0", &[]), interface(3, "eth1", &[])],
            &[interface(2, "eth0", &[address]), interface(3, "eth1", &[])],
            &[
                interface(2, "eth0", &[address]),
                interface(3, "eth1", &[address]),
            ],
            &[interface(2, "eth0", &[]), interface(3, "eth1", &[address])],
        ],
    );
    assert_eq!(
        indices(&looks),
        [Some(2), Some(2), Some(2), Some(2), Some(3)]
    );
    let told = told(&looks);
    assert!(told[1][0].starts_with("!no interface has the address 192.0.2.1 any more"));
    assert_eq!(told[2], ["eth0 has the address 192.0.2.1"]);
    let again = |n: usize| looks[n].0.needs_opening(&looks[n - 1].0);
    assert_eq!([1, 2, 3, 4].map(again), [false, true, false, true]);
}

#[test]
fn an_interface_that_was_down_is_used_anew() {
    let eth0 = || interface(2, "eth0", &[]);
    let looks = looks(
        &both("eth0"),
        &[
            &[eth0()],
            &[in_state(State::Down, eth0())],
            &[in_state(State::NoCarrier, eth0())],
            &[eth0()],
        ],
    );
    let told = told(&looks);
    assert!(
        told[1][0].contains("run \"ip link set eth0 up\""),
        "{told:?}"
    );
    assert!(told[2][0].contains("no carrier"), "{told:?}");
    assert_eq!(told[3], ["eth0 is up again"]);
    let again = |n: usize| looks[n].0.needs_opening(&looks[n - 1].0);
    assert_eq!([1, 2, 3].map(again), [false, false, true]);
    assert!(looks[3].0.may_have_missed(&looks[2].0));
}

#[test]
fn another_mtu_needs_a_new_socket_and_is_no_gap() {
    let mut small = interface(2, "eth0", &[]);
    small.mtu = 1400;
    let looks = looks(&both("eth0"), &[&[interface(2, "eth0", &[])], &[small]]);
    assert!(looks[1].0.needs_opening(&looks[0].0));
    assert!(!looks[1].0.may_have_missed(&looks[0].0));
}

#[test]
fn one_end_is_used_while_the_other_is_missing() {
    let config = config(
        "ff08::1",
        r#", "in interface": "eth0", "out interface": "eth1""#,
    );
    let looks = looks(&config, &[&[interface(2, "eth0", &[])]]);
    let place = &looks[0].0;
    assert_eq!(
        (place.incoming.index(), place.outgoing.index()),
        (Some(2), None)
    );
    assert!(!place.is_nowhere());
    assert_eq!(looks[0].1.len(), 1);
}

#[test]
fn a_link_local_group_takes_its_scope_from_its_link_and_a_wide_one_has_none() {
    let interfaces = [interface(3, "eth1", &[])];
    let group = |config: &NetsocketConfig| looks(config, &[&interfaces])[0].0.group(config);
    let narrow = config("ff02::db8:64:64", r#", "in interface": "eth1""#);
    assert_eq!(group(&narrow), "[ff02::db8:64:64%3]:6464".parse().unwrap());
    assert_eq!(
        group(&both("eth1")),
        "[ff08::db8:64:64]:6464".parse().unwrap()
    );
}

#[test]
fn a_link_local_group_on_two_links_is_a_contradiction() {
    let config = config(
        "ff02::1",
        r#", "in interface": "eth0", "out interface": "eth1""#,
    );
    let all = [interface(2, "eth0", &[]), interface(3, "eth1", &[])];
    let mut lan = interface(4, "lan0", &[]);
    lan.alternatives = vec!["eth0".to_owned(), "eth1".to_owned()];
    let looks = looks(&config, &[&all, &[lan]]);
    assert_eq!(
        looks[0].0.contradiction().unwrap(),
        "must name the same link, not eth0 and eth1"
    );
    assert_eq!(looks[0].0.outgoing.index(), None);
    assert_eq!(
        (looks[1].0.contradiction(), looks[1].0.outgoing.index()),
        (None, Some(4))
    );
}

#[test]
fn the_kernels_choice_is_followed_by_the_address_that_it_sends_from() {
    let config = config("ff08::1", "");
    let source: IpAddr = "2001:db8::1".parse().unwrap();
    let find = |index, chosen| {
        let interfaces = Interfaces::of(vec![interface(index, "eth0", &["2001:db8::1"])]);
        let place = Place::find(&config, &interfaces, None, || chosen);
        let news = place.news(None, &interfaces);
        (place, news)
    };
    let (first, news) = find(2, Some(source));
    assert_eq!((first.incoming.index(), news.len()), (Some(0), 0));
    assert!(!find(2, Some(source)).0.needs_opening(&first));
    assert!(find(7, Some(source)).0.needs_opening(&first));
    let (none, news) = find(2, None);
    assert!(none.is_nowhere());
    assert_eq!(news.len(), 1, "both ends have the same trouble: {news:?}");
}
