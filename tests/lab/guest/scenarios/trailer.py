"""the module: what our daemons say beyond sessions is nothing to it, behind them or alone, in either format"""

import struct

from lab.complaints import KernelLog
from lab.genl import JOOLD_ADD, SESSION_ENTRIES, Link, attribute, session
from lab.network import HOST6, POOL4

DAEMONS = "none"

UDP = 1
LIFETIME_MS = 5 * 60 * 1000
# What fits into a datagram: 10 of 140 bytes, or 36 of 40.
FITS = 1440
# docs/extensions.md
SESSIONS, HELLO, ASK, REPEAT, PULL, TABLE = range(1, 7)
NODE = 0x73a5fabb
KINDS = {
    "a hello": (HELLO, struct.pack("!BBHIIIH", 3, 0, 1000, 1, 1, 3, 1) + struct.pack("!III", 0xb1efabfb, 2, 1)),
    "an ask": (ASK, struct.pack("!IH", NODE, 1) + struct.pack("!II", 3, 5)),
    "a pull": (PULL, struct.pack("!IBBB", NODE, 16, UDP, 0) + bytes(12)),
}


def run(stage):
    stage.j.add()
    with Link("j") as link:
        behind_sessions(stage, link)
        for name, (kind, body) in KINDS.items():
            nothing_happens(stage, link, name, header(kind) + body)
        some = sessions(60000, 3)
        stretch = struct.pack("!BB12xB12xB", UDP, 0, 0, 0)
        nothing_happens(stage, link, "a repeat", header(REPEAT) + some)
        nothing_happens(stage, link, "a part of a table", header(TABLE) + stretch + some)
        nothing_happens(stage, link, "a trailer without sessions", header(SESSIONS))
        what_would_be_seen(stage, link)


def behind_sessions(stage, link):
    most = FITS // len(sessions(0, 1))
    total = 0
    for count in (1, most):
        answer, lines = give(link, sessions(total, count) + header(SESSIONS))
        total += count
        stage.check_equal(f"{count} sessions with a trailer behind them: no answer", None, answer)
        stage.check_equal(f"{count} sessions with a trailer behind them: no line in the kernel's log", [], lines)
        stage.check_equal(f"{count} sessions with a trailer behind them: they are added", total,
                          len(stage.j.sessions("udp")))


def nothing_happens(stage, link, what, datagram):
    before = stage.j.sessions("udp").keys()
    stage.check_equal(f"{what}: no answer, and no line in the kernel's log", (None, []), give(link, datagram))
    stage.check_equal(f"{what}: no session comes or goes", before, stage.j.sessions("udp").keys())


def what_would_be_seen(stage, link):
    """Or the checks above were worth nothing."""
    answer, lines = give(link, sessions(50000, 1) + attribute(1, b""))
    stage.check("an attribute without content behind a session: the kernel answers, and logs", answer and lines,
                "an answer and a line", (answer, lines))


def header(kind):
    return struct.pack("!HBBII", 0, kind, 1, NODE, 7)


def sessions(first, count):
    return b"".join(session((HOST6, 4000), (POOL4, 61001), ("198.18.0.1", 1 + number), LIFETIME_MS, UDP)
                    for number in range(first, first + count))


def give(link, datagram):
    """As upstream's daemon passes it on: (the kernel's answer, the new lines in its log)."""
    log = KernelLog()
    link.jool(JOOLD_ADD, attribute(SESSION_ENTRIES, datagram, nested=True))
    return link.waiting(), log.lines()
