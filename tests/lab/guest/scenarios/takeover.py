"""a TCP transfer goes on when J is cut off in its middle and K takes its addresses over"""

from lab.system import poll, wait_for
from lab.transfer import Transfer

DAEMONS = "pairs"


def run(stage):
    stage.add_instances()
    stage.start_pair()
    near, far = stage.hosts.tcp_used()
    with Transfer(near, far) as transfer:
        wait_for("the transfer's middle", lambda: transfer.in_the_middle)
        known = poll(lambda: states(stage.k), lambda seen: seen == ["ESTABLISHED"])
        stage.check_equal("K knows the connection as established", ["ESTABLISHED"], known)
        stage.network.cut_off("j")
        stage.network.activate("k")
        transfer.let_finish()
        poll(lambda: transfer.complete)
        stage.check("the transfer goes on through K to its end", transfer.complete, "a complete transfer", transfer)
        stage.check("every byte arrives as it was sent, both ways", transfer.near.intact and transfer.far.intact,
                    "the bytes that the other end sent", transfer)


def states(instance):
    return [session.state for session in instance.sessions("tcp").values()]
