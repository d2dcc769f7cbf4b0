use super::super::sample::Peer;
use super::*;

fn sample(updates: u64) -> Sample {
    Sample {
        pid: 7,
        standing: "in sync".to_owned(),
        may_take_over: true,
        instance: "default".to_owned(),
        module_version: "4.1.13".to_owned(),
        sessions: Some(1200),
        receives_over: "eth0".to_owned(),
        sends_over: "eth1".to_owned(),
        counters: [updates, 20, 30, 4, 5, 6],
        lost: 9,
        peers: vec![Peer {
            address: "[2001:db8::2]:6464".to_owned(),
            kind: "joold".to_owned(),
            standing: "lagging".to_owned(),
            age_ms: 1460,
            lag: 3,
            lost: 4,
            repaired: 1,
        }],
    }
}

/// After a second in which 500 updates came.
fn view() -> View {
    let mut view = View::default();
    view.told(sample(1000), 0.0);
    view.told(sample(1500), 1.0);
    view
}

const SCREEN: Screen = Screen {
    columns: 80,
    rows: 24,
    is_unicode: false,
    has_colours: false,
};

/// A frame's lines, without what the terminal is told besides.
fn lines(frame: &str) -> Vec<String> {
    let inner = frame.strip_prefix("\x1b[H").unwrap();
    let inner = inner.strip_suffix("\x1b[J").unwrap();
    let lines = inner
        .split("\r\n")
        .map(|line| line.strip_suffix("\x1b[K").unwrap());
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_frame_has_the_standing_the_rates_their_history_and_the_other_routers() {
    let shown = lines(&view().frame(&SCREEN));
    assert_eq!(
        shown,
        [
            "joold default: Jool 4.1.13, 1200 sessions, in over eth0, out over eth1",
            "in sync, may become master",
            "",
            "                                   a second      since its start",
            "updates from the kernel                 500                 1500",
            "datagrams to the network                  0                   20",
            "datagrams from the network                0                   30",
            "datagrams missed                          0                    4",
            "of those, made up for                     0                    5",
            "updates merged into later ones            0                    6",
            "dropped or lost, all reasons                                   9",
            "",
            "updates a second, 500 at most",
            "#",
            "",
            "other routers       kind      standing         age s     lag      lost  repaired",
            "[2001:db8::2]:6464  joold     lagging            1.4       3         4         1",
        ]
    );
}

#[test]
fn a_frame_is_no_larger_than_the_screen() {
    for (columns, rows) in [(1, 1), (10, 3), (200, 100)] {
        let screen = Screen {
            columns,
            rows,
            ..SCREEN
        };
        let shown = lines(&view().frame(&screen));
        assert!(shown.len() <= rows);
        assert!(
            shown.iter().all(|line| line.chars().count() <= columns),
            "{shown:?}"
        );
    }
}

#[test]
fn only_colours_tell_more_than_ascii() {
    let plain = view().frame(&SCREEN);
    assert!(plain.is_ascii() && !plain.contains("\x1b[3") && !plain.contains("\x1b[1m"));
    let coloured = view().frame(&Screen {
        has_colours: true,
        ..SCREEN
    });
    assert!(
        coloured.contains("\x1b[32min sync, may become master\x1b[m"),
        "{coloured:?}"
    );
}

#[test]
fn a_daemon_that_is_gone_is_told_above_what_was_last() {
    let mut view = view();
    view.failed("no joold listens".to_owned());
    let shown = lines(&view.frame(&SCREEN));
    assert_eq!(shown[1], "no answer; waiting, and what follows is old");
    assert_eq!(shown[2], "no joold listens");
    assert_eq!(
        shown[5],
        "updates from the kernel                   -                 1500"
    );
    // Another one counts from its own start.
    view.told(
        Sample {
            pid: 8,
            ..sample(3)
        },
        5.0,
    );
    let shown = lines(&view.frame(&SCREEN));
    assert_eq!(shown[1], "in sync, may become master");
    assert_eq!(
        shown[4],
        "updates from the kernel                   -                    3"
    );
    assert_eq!(shown[13], "#", "what was is not forgotten");
}

#[test]
fn a_line_has_its_headings_now_and_then() {
    let mut view = view();
    let headings =
        "standing        updates/s     sent/s received/s   missed/s   sessions      peers\n";
    let line = "in sync               500          0          0          0       1200          1\n";
    assert_eq!(view.line(), format!("{headings}{line}"));
    assert_eq!(view.line(), line);
    view.failed("no joold listens".to_owned());
    let gone = "no answer               -          -          -          -          -          -\n";
    assert_eq!(view.line(), gone);
    let mut again = (3..45)
        .map(|_| view.line())
        .filter(|text| text.starts_with(headings));
    assert_eq!(again.by_ref().count(), 2);
}

#[test]
fn a_sparkline_reaches_from_the_lowest_to_the_highest_letter() {
    assert_eq!(sparkline(&[0, 1, 50, 100], true), "▁▂▅█");
    assert_eq!(sparkline(&[0, 1, 50, 100], false), "_.+#");
    assert_eq!(sparkline(&[0, 0], true), "▁▁");
    assert_eq!(sparkline(&[u64::MAX, u64::MAX / 2, 1], false), "#+.");
    assert_eq!(sparkline(&[], true), "");
}

#[test]
fn the_history_ends_at_the_right_margin() {
    let mut view = View::default();
    for second in 0..100 {
        view.told(sample(second * second), 1.0);
    }
    let shown = lines(&view.frame(&Screen {
        columns: 20,
        ..SCREEN
    }));
    assert_eq!(shown[13].len(), 20);
    assert!(shown[13].ends_with('#'), "{}", shown[13]);
    for second in 0..2 * REMEMBERED as u64 {
        view.told(sample(10_000 + second), 1.0);
    }
    assert_eq!(view.history.len(), REMEMBERED);
}
