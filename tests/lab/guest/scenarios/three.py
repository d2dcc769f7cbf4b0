"""a third router with upstream's daemon, beside J and K with ours: it misses no more than beside upstream's"""

import math
import time

from lab.clients import Client
from lab.complaints import KernelLog, complaints_of
from lab.completeness import complete_within
from lab.synclink import SyncLink
from lab.weather import rough

DAEMONS = "compared"
LOSS = 10
OURS, UPSTREAM = f"ours, {LOSS} %", f"upstream, {LOSS} %"
RUNS = {
    "ours": ("ours/ours", {}),
    OURS: ("ours/ours", {"loss": LOSS}),
    "upstream": ("upstream/upstream", {}),
    UPSTREAM: ("upstream/upstream", {"loss": LOSS}),
}
BASES = {}
NOTES = ("L's daemon is always upstream's.",)

MADE = {"udp": 7600, "tcp": 100, "icmp": 300}
MOST_SECONDS = 2
# On the way to K, and to L: what one of them misses the other may have.
TO_K, TO_L = ("sw", "sync-k"), ("sw", "sync-l")
MISSING = "missing at L"


def run(stage, loss=0):
    stage.add_instances()
    at_l = stage.add_third("upstream")
    stage.start_pair()
    log = KernelLog()
    with Client(stage.hosts) as client, rough(loss, ends=[TO_K, TO_L]) as weather, SyncLink("l") as link:
        count = client.make(**MADE)
        done = complete_within(MOST_SECONDS, time.monotonic(), count, [stage.j], [stage.k, stage.l])
        figures = {
            "sessions made": count,
            "datagrams lost to K": weather.lost(TO_K),
            "datagrams lost to L": weather.lost(TO_L),
            "kB to L": weather.kilobytes(TO_L),
            "datagrams that L's daemon received": at_l.counters()["NET_RCVD_PKTS"],
        }
    if loss:
        lost = figures["datagrams lost to K"], figures["datagrams lost to L"]
        stage.check(f"the link lost some datagrams to each ({lost[0]}, {lost[1]})", all(lost), "some", lost)
    reached, ignored = compare_with_link(stage, link)
    figures |= {"sessions that reached L": len(reached), "of them, not in its table": len(ignored)}
    if "ours" in stage.pair:
        stage.check(f"L has each of the {len(reached)} sessions that reached it", reached and not ignored,
                    "at least one session, and each of them", ignored)
    # L's daemon does not ask for what was lost, and nobody expects it to.
    done.check(stage, f"{loss} % lost" if loss else "nothing lost", names="K" if loss else "KL")
    stage.check_equal("neither the kernel nor L's daemon complains of what comes", ([], []),
                      (log.complaints(), complaints_of(at_l)))
    return figures | done.figures()


def compare_with_link(stage, link):
    """(what was in the datagrams that L received, what of that is not in its table), by IPv4 destination: no two
    sessions of a client have the same."""
    reached = {host4 for host4, _ in link.crossings()}
    return reached, reached - {key[7] for key in stage.l.all_sessions()}


def compare(figures):
    """(what must hold between the runs, whether it does, what was expected, what was seen)"""
    if not (figures.get(OURS) and figures.get(UPSTREAM)):
        return
    ours, upstream = figures[OURS][MISSING], figures[UPSTREAM][MISSING]
    most = upstream + luck(figures[UPSTREAM])
    yield (f"with {LOSS} % lost, L misses no more sessions than beside upstream's daemons, but for luck", ours <= most,
           f"at most {most}", ours)


def luck(figures):
    """Three standard deviations of the difference between two runs that lose datagrams with the same probability."""
    lost, received = figures["datagrams lost to L"], figures["datagrams that L's daemon received"]
    datagrams = lost + received
    deviation = math.sqrt(2 * datagrams * LOSS / 100 * (1 - LOSS / 100))
    return math.ceil(3 * deviation * figures["sessions made"] / datagrams)
