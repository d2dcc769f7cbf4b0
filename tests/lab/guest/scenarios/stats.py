"""the statistics port answers as upstream's does, and the numbers agree with both kernels'"""

from lab.daemon import MERGED
from lab.genl import SESSION_BYTES
from lab.system import poll
from lab.traffic import ping

DAEMONS = "pairs"

NAMES = ["KERNEL_SENT_PKTS", "KERNEL_SENT_BYTES", "NET_RCVD_PKTS", "NET_RCVD_BYTES", "NET_SENT_PKTS",
         "NET_SENT_BYTES"]


def run(stage):
    stage.add_instances()
    # Upstream's daemon counts messages as datagrams, and trailers as bytes of sessions.
    plain = {"extensions": "upstream" not in stage.pair}
    at_j, at_k = stage.start_pair(netsocket=plain)
    for name, daemon in (("J", at_j), ("K", at_k)):
        for address in ("::1", "127.0.0.1"):
            answer = daemon.statistics(address)
            stage.check(f"{name}'s answer over {address} is six lines NAME,VALUE", is_six_lines(answer),
                        f"a line each, NAME,VALUE: {NAMES}", repr(answer))
    ping()
    stage.hosts.udp(50)
    stage.hosts.tcp_used()
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K")

    facts = poll(lambda: look(stage, at_j, at_k), lambda seen: all(good for _, good in judge(seen)), patience=20)
    for text, good in judge(facts):
        stage.check(text, good, text, facts)


def is_six_lines(answer):
    lines = answer.splitlines(keepends=True)
    return ([line.partition(",")[0] for line in lines] == NAMES
            and all(line.partition(",")[2].removesuffix("\n").isdecimal() and line.endswith("\n") for line in lines))


def look(stage, at_j, at_k):
    kernels = {name: {key: value for key, value in instance.statistics().items() if key.startswith("JOOLD")}
               for name, instance in (("J kernel", stage.j), ("K kernel", stage.k))}
    return {"J": at_j.counters(), "J merged": at_j.counted(MERGED), "K": at_k.counters(), **kernels}


def judge(facts):
    """(what must hold, whether it does) for every relation between the four views."""
    j, k, kernel_j, kernel_k = facts["J"], facts["K"], facts["J kernel"], facts["K kernel"]
    given, merged = kernel_j["JOOLD_SSS_SENT"], facts["J merged"]
    return [
        ("J sent datagrams", j["NET_SENT_PKTS"] > 0),
        ("K received as many datagrams as J sent", k["NET_RCVD_PKTS"] == j["NET_SENT_PKTS"]),
        ("K received as many bytes as J sent", k["NET_RCVD_BYTES"] == j["NET_SENT_BYTES"]),
        ("J received as many datagrams as K sent", j["NET_RCVD_PKTS"] == k["NET_SENT_PKTS"]),
        ("J's KERNEL_SENT_PKTS is what its kernel counts", j["KERNEL_SENT_PKTS"] == kernel_j["JOOLD_PKT_SENT"]),
        ("J's KERNEL_SENT_BYTES is 40 bytes for each session that its kernel counts",
         j["KERNEL_SENT_BYTES"] == SESSION_BYTES * given),
        # Which is at K by now, or its table would not have been the same.
        ("J sent all that its kernel gave, but what it says that gave way to a later update of the same session",
         j["NET_SENT_BYTES"] == SESSION_BYTES * (given - merged)),
        ("K's kernel received as many sessions as J sent", kernel_k["JOOLD_SSS_RCVD"] == given - merged > 0),
        ("J's kernel got an ACK for each batch", kernel_j["JOOLD_ACKS"] >= kernel_j["JOOLD_PKT_SENT"]),
    ]
