"""without daemons that transfer does not survive: what takeover checks is the daemons' work"""

from lab.system import poll, wait_for
from lab.transfer import Transfer

DAEMONS = "none"

# A segment of a connection that the NAT64 does not know, on its way from h6.
REFUSALS = "SYN6_EXPECTED"


def run(stage):
    stage.add_instances()
    near, far = stage.hosts.tcp_used()
    with Transfer(near, far) as transfer:
        wait_for("the transfer's middle", lambda: transfer.in_the_middle)
        stage.network.cut_off("j")
        stage.network.activate("k")
        transfer.let_finish()
        # Not a time but an event: the connection has been tried again and again, and K refused. What arrived
        # before the first refusal, J had translated.
        poll(lambda: refusals(stage))
        at_takeover = transfer.received
        refused = poll(lambda: refusals(stage), lambda seen: seen >= 4)
        stage.check("K refuses the segments of a connection it never heard of", refused >= 4,
                    f"4 or more {REFUSALS}", refused)
        stage.check("the transfer stands still", transfer.received == at_takeover and not transfer.complete,
                    f"received: {at_takeover}", f"received: {transfer.received}")


def refusals(stage):
    return stage.k.statistics()[REFUSALS]
