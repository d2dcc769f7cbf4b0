"""the module: each ACK releases one batch, so several in one send() release several; our daemon uses that"""

from lab.calls import calls_during
from lab.crowd import fill
from lab.genl import JOOLD_ACK, JOOLD_ADVERTISE, Link
from lab.system import wait_for

DAEMONS = "ours"

SESSIONS_PER_BATCH = 36
# The first comes with the request, unasked; then portions of 4, 1 and 16, and so many that are left.
LEFT = 7
BATCHES = 1 + 4 + 1 + 16 + LEFT
# In milliseconds, and longer than any run: no batch comes but for an ACK.
NEVER = 3600 * 1000
# For our daemon, which asks for 1, 1, 2, 4, 8 and then 16 at a time.
MANY_BATCHES = 200
MOST_SENDS = MANY_BATCHES // 4


def run(stage):
    stage.family = "ipv6"
    stage.j.add(flush_deadline_ms=NEVER)
    stage.k.add()
    with Link("j") as link:
        link.join()
        one_batch_for_each(stage, link)
        none_is_owed(stage, link)
    our_daemon(stage)


def one_batch_for_each(stage, link):
    fill("j", BATCHES * SESSIONS_PER_BATCH)
    # The module begins with none in hand.
    link.jool(JOOLD_ACK)
    link.jool(JOOLD_ADVERTISE)
    # The batch, and the response to the request.
    stage.check_equal("an advertisement brings one batch", 1 + 1, waiting(link))
    for times in (4, 1, 16):
        link.jool(JOOLD_ACK, times=times)
        stage.check_equal(f"ACKs in one send(): {times}, batches that they release: {times}", times, waiting(link))
    link.jool(JOOLD_ACK, times=LEFT + 5)
    stage.check_equal(f"ACKs in one send(): {LEFT + 5}, batches that they release: the {LEFT} that are left", LEFT,
                      waiting(link))
    stage.check_equal("the module has counted each ACK", 1 + 4 + 1 + 16 + LEFT + 5,
                      stage.j.statistics()["JOOLD_ACKS"])


def none_is_owed(stage, link):
    """The module keeps one ACK in hand or none, however many it got beyond what it had."""
    stage.hosts.udp(2 * SESSIONS_PER_BATCH, host4="198.19.0.1")
    stage.check_equal("of two batches that come later, one is given without an ACK, the other is not", 1,
                      waiting(link))
    link.jool(JOOLD_ACK)
    stage.check_equal("the other comes for the next ACK", 1, waiting(link))


def our_daemon(stage):
    fill("j", MANY_BATCHES * SESSIONS_PER_BATCH)
    at_j, _ = stage.start_pair()
    stage.wait_until_in_sync()
    before = stage.j.statistics()
    calls = calls_during(at_j.process.pid, lambda: advertise(stage))
    sends = calls.get("sendto", 0)
    acks, batches = (stage.j.statistics()[name] - before[name] for name in ("JOOLD_ACKS", "JOOLD_PKT_SENT"))
    stage.check(f"our daemon asks for {MANY_BATCHES} batches with {MOST_SENDS} send() or fewer ({sends})",
                0 < sends <= MOST_SENDS, f"1 to {MOST_SENDS}", calls)
    stage.check(f"and with at least one ACK for each ({acks})", acks >= batches >= MANY_BATCHES,
                f"{MANY_BATCHES} or more", f"{acks} ACKs, {batches} batches")
    missing = stage.j.all_sessions().keys() - stage.k.all_sessions().keys()
    stage.check_equal("nothing is missing at K", set(), missing)


def advertise(stage):
    """All of J's table, until it is at K."""
    stage.j.advertise()
    wait_for("K to have as many sessions as J",
             lambda: [len(instance.all_sessions()) for instance in (stage.j, stage.k)],
             lambda seen: seen[0] == seen[1], pause=0.5)


def waiting(link):
    """How many messages are in the socket; they are taken out."""
    count = 0
    while link.waiting() is not None:
        count += 1
    return count
