"""16 flows at full rate, 1,000 new sessions among them: a refresh window spares K the refreshes, and only them"""

from lab.daemon import MERGED
from lab.flood import NEW_SESSIONS, PACKETS, flood
from lab.losses import udp_drops
from lab.process import cpu_ns
from lab.synclink import SyncLink
from lab.system import wait_until_quiet

DAEMONS = "compared"
WINDOW_MS = 1000
MERGING, NOT_MERGING = f"ours, window {WINDOW_MS}", "ours, window 0"
RUNS = {
    MERGING: ("ours/ours", {"window_ms": WINDOW_MS}),
    NOT_MERGING: ("ours/ours", {"window_ms": 0}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {MERGING: "upstream", NOT_MERGING: "upstream"}

# Of the updates that J's kernel queued. The new sessions alone, which must all get through, are 0.024 of them.
MOST_AT_K = 0.05
# Longer than the module's timer and a window together.
QUIET_SECONDS = 4
# What a session's way from J's kernel to K's may take: milliseconds, unless this computer has other things to do.
MEASUREMENT_MS = 1000
MEDIAN = "new session on the sync link after, median, ms"


def run(stage, window_ms=None):
    """None: the daemons are upstream's, of whom only the figures are of interest."""
    stage.add_instances(flush_deadline_ms=None)
    daemons = stage.start_pair(modsocket={"refresh window": window_ms})
    stage.wait_until_in_sync()
    cpu_before = [cpu_ns(daemon.process.pid) for daemon in daemons]
    with SyncLink() as link:
        begun = flood()
        wait_until_quiet("K's kernel takes sessions no more", lambda: stage.k.statistics()["JOOLD_SSS_RCVD"],
                         QUIET_SECONDS)
    cpu = [cpu_ns(daemon.process.pid) - before for daemon, before in zip(daemons, cpu_before)]
    crossed = [(host4, moment) for host4, moment in link.crossings() if host4 in begun]
    figures = count(stage, daemons[0], {host4 for host4, _ in crossed})

    stage.check_equal("J's kernel queues an update for each packet", PACKETS, figures["updates queued by J's kernel"])
    if window_ms is not None:
        check_updates(stage, window_ms, figures, daemons[0].counted(MERGED))
        stage.check_equal("each new session crosses the sync link once, in the order in which they began",
                          list(begun), [host4 for host4, _ in crossed])
        apart_ms = check_tables(stage, window_ms)
        figures |= {"lifetimes apart at most, ms": apart_ms}
    return figures | costs(cpu) | delays([1000 * (moment - begun[host4]) for host4, moment in crossed])


def count(stage, at_j, new_on_the_link):
    kernel_j, kernel_k = stage.j.statistics(), stage.k.statistics()
    return {
        "packets through J": PACKETS,
        "updates queued by J's kernel": kernel_j["JOOLD_SSS_QUEUED"],
        "updates lost at J's queue": kernel_j["JOOLD_SSS_ENOSPC"],
        "updates from J's kernel": kernel_j["JOOLD_SSS_SENT"],
        "batches from J's kernel": kernel_j["JOOLD_PKT_SENT"],
        "datagrams from J to K": at_j.counters()["NET_SENT_PKTS"],
        "datagrams lost at K's UDP socket": udp_drops("k"),
        "updates that K's kernel received": kernel_k["JOOLD_SSS_RCVD"],
        f"new sessions on the sync link, of {NEW_SESSIONS}": len(new_on_the_link),
    }


def check_updates(stage, window_ms, figures, merged):
    given, received = figures["updates from J's kernel"], figures["updates that K's kernel received"]
    if window_ms:
        most = int(MOST_AT_K * figures["updates queued by J's kernel"])
        stage.check(f"K's kernel receives at most {MOST_AT_K:.0%} of the updates", received <= most,
                    f"at most {most}", received)
    else:
        stage.check_equal("without a window nothing is merged", 0, merged)
    stage.check_equal("K's kernel receives all that J's gave, but what gave way to a later update of its session",
                      given - merged, received)


def check_tables(stage, window_ms):
    """Returns by how many milliseconds the lifetimes at both differ at most."""
    # J's before and after K's: what differs by more than that is not the time that reading takes.
    earlier, at_k, later = (instance.sessions("udp") for instance in (stage.j, stage.k, stage.j))
    missing, surplus = earlier.keys() - at_k.keys(), at_k.keys() - earlier.keys()
    stage.check("J and K have the same sessions", earlier and not missing and not surplus,
                f"the {len(earlier)} of J", f"{len(missing)} missing, {len(surplus)} too many")
    apart_ms = max(apart(earlier[key], session, later[key]) for key, session in at_k.items()
                   if key in earlier and key in later)
    most_ms = window_ms + MEASUREMENT_MS
    stage.check(f"no lifetime at K differs from J's by more than {most_ms} ms", apart_ms <= most_ms,
                f"at most {most_ms} ms", f"{apart_ms} ms")
    return apart_ms


def apart(earlier, seen, later):
    """By how many ms a lifetime at K is outside what J's was when K's was read, which `earlier` and `later` enclose."""
    return max(0, seen.lifetime_ms - earlier.lifetime_ms, later.lifetime_ms - seen.lifetime_ms)


def costs(cpu):
    return {f"CPU of {name}'s daemon, µs a packet": used / 1000 / PACKETS for name, used in zip("JK", cpu)}


def delays(late_ms):
    late_ms = sorted(late_ms)
    return {
        MEDIAN: late_ms[len(late_ms) // 2],
        "new session on the sync link after, 99 of 100, ms": late_ms[len(late_ms) * 99 // 100],
        "new session on the sync link after, last, ms": late_ms[-1],
    }


def compare(figures):
    """(what must hold between the runs, whether it does, what was expected, what was seen)

    The delays themselves are a matter of luck here. A new session that is held at all is held for a window.
    """
    # A run that broke off has no figures, and has failed already.
    if not (figures.get(MERGING) and figures.get(NOT_MERGING)):
        return
    merging, not_merging = figures[MERGING][MEDIAN], figures[NOT_MERGING][MEDIAN]
    most_ms = not_merging + WINDOW_MS / 2
    yield ("with a window, the median new session is not half a window later than without", merging < most_ms,
           f"less than {most_ms:.1f} ms", f"{merging:.1f} ms")
