"""the module: what of a burst its queue keeps, and of an advertisement; before 4.1.11, one packet, and nothing"""

from lab.genl import HEADERS, JOOLD_ACK, JOOLD_ADVERTISE, SESSION_ENTRIES, Link, attributes, each_attribute
from lab.jool import QUEUE_SINCE, module_version
from lab.system import poll

DAEMONS = "none"

BURST = 60
# In milliseconds, and longer than any run: no batch comes but for an ACK.
NEVER = 3600 * 1000
# Longer than the module's timer.
PATIENCE_SECONDS = 3
# The first session leaves at once, for an ACK is in hand. Then eleven of 140 bytes fill the packet, of ss-max-payload
# bytes and what the kernel rounds them up by.
KEPT_WITHOUT_QUEUE = 1 + 11


def run(stage):
    stage.j.add(flush_deadline_ms=NEVER)
    has_queue = module_version() >= QUEUE_SINCE
    with Link("j") as link:
        link.join()
        stage.hosts.udp(BURST, host4="198.18.0.1")
        stage.check_equal("the kernel has a session of each packet", BURST, len(stage.j.sessions("udp")))
        # From now on each ACK, and the module's timer, send what there is.
        stage.j.set("ss-flush-deadline", 1)
        kept = BURST if has_queue else KEPT_WITHOUT_QUEUE
        seen = []
        poll(lambda: take(link, seen), lambda count: count >= kept)
        poll(lambda: take(link, seen), lambda count: count > kept, PATIENCE_SECONDS)
        stage.check_equal(f"of {BURST} sessions made before an ACK, so many are told ever", kept, sum(seen))
        print(f"batches: {seen}")
        seen = []
        for number in range(BURST):
            stage.hosts.udp(host4="198.18.0.2")
            poll(lambda: take(link, seen), lambda count, made=number + 1: count >= made)
        stage.check_equal("of as many with an ACK after each, all are told", BURST, sum(seen))
        link.jool(JOOLD_ADVERTISE)
        table = len(stage.j.sessions("udp"))
        kept = table if has_queue else 0
        seen = []
        poll(lambda: take(link, seen), lambda count: count > kept, PATIENCE_SECONDS)
        stage.check_equal(f"of {table} sessions that are advertised, so many are told", kept, sum(seen))


def take(link, sizes):
    """How many sessions came so far; `sizes` gets those of new batches. Each call is an ACK."""
    link.jool(JOOLD_ACK)
    while (message := link.waiting()) is not None:
        # The response to an advertisement has none.
        container = attributes(message[HEADERS:]).get(SESSION_ENTRIES, b"")
        sizes.append(sum(1 for _ in each_attribute(container)))
    return sum(sizes)
