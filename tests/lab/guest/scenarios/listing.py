"""the module: how it lists its sessions, page by page; what the simulated Jool is held to"""

import ipaddress

from lab.genl import JOOLD_ADD, SESSION_ENTRIES, Link, attribute, jool_header, session
from lab.listing import FORM, Refused, all_pages, page, place

DAEMONS = "none"

TCP, UDP, ICMP = range(3)
A_PAGE = 26
LIFETIME_MS = 50 * 1000
# Read and written at two moments on a slow machine.
TOLERANCE_MS = 15 * 1000

# As numbers of the machine's byte order, or as text, these have another order than they have in the table.
MASKS = [(address, port) for address in ("10.9.8.7", "192.0.2.1", "203.0.113.200") for port in (256, 1, 61001, 65535)]
HOSTS = [(address, port) for address in ("9.0.0.200", "198.18.0.1", "198.18.1.0") for port in (443, 53, 512)]

# TCP states and timers.
V4_INIT, NO_STATE = 2, 7
INCOMING_SYN = 2
INCOMING_SYN_MS = 6000


def run(stage):
    stage.j.add()
    with Link("j") as link:
        empty_tables(stage, link)
        fill(link)
        for name, protocol in (("UDP", UDP), ("TCP", TCP), ("ICMP", ICMP)):
            whole_table(stage, link, name, protocol)
        form(stage, link)
        offsets(stage, link)
        the_last_page(stage, link)
        refusals(stage, link)
        odd_stages(stage, link)


def places():
    """Of all sessions, from the lowest to the highest: (mask, host)."""
    def number(addresses):
        return [(int(ipaddress.IPv4Address(address)), port) for address, port in addresses]
    return sorted(((mask, host) for mask in MASKS for host in HOSTS), key=number)


def add(link, *sessions):
    link.jool(JOOLD_ADD, attribute(SESSION_ENTRIES, b"".join(sessions), nested=True))
    answer = link.waiting()
    if answer is not None:
        raise AssertionError(f"the module refused sessions: {answer.hex(' ')}")


def source6(mask, protocol):
    return f"2001:db8:6::{protocol}:{MASKS.index(mask) + 1:x}", 4000


def fill(link):
    """The highest first, so that the order is the module's own doing. ICMP's hosts have their mask's port."""
    for protocol in (UDP, TCP, ICMP):
        made = {(mask, host if protocol != ICMP else (host[0], mask[1])) for mask, host in places()}
        for mask, host in sorted(made, reverse=True):
            add(link, session(source6(mask, protocol), mask, host, LIFETIME_MS, protocol))


def empty_tables(stage, link):
    for name, protocol in (("UDP", UDP), ("TCP", TCP), ("ICMP", ICMP)):
        seen = page(link, protocol)
        stage.check_equal(f"an empty table of {name} is one empty page", ([], False), (seen.entries, seen.more))


def whole_table(stage, link, name, protocol):
    pages = all_pages(link, protocol)
    seen = [place(entry) for one in pages for entry in one.entries]
    wanted = places()
    if protocol == ICMP:
        wanted = list(dict.fromkeys((mask, (host[0], mask[1])) for mask, host in wanted))
    stage.check_equal(f"{name}: all sessions, by mask and then by host, compared as numbers", wanted, seen)
    sizes = [len(one.entries) for one in pages]
    stage.check_equal(f"{name}: pages of {A_PAGE}", [A_PAGE] * (len(sizes) - 1), sizes[:-1])


def form(stage, link):
    seen = page(link, UDP)
    first = seen.entries[0]
    stage.check_equal("each session is an attribute of the message, nested to the letter", {FORM},
                      {entry.form for entry in seen.entries})
    stage.check_equal("it has the IPv6 source that it was added with", source6(first.src4, UDP), first.src6)
    stage.check_equal("and an IPv6 destination, of pool6", ("64:ff9b::900:c8", first.dst4[1]), first.dst6)
    stage.check_equal("protocol, state and timer are numbers", (UDP, 0, 0), first[4:7])
    stage.check("its lifetime is what is left of it",
                LIFETIME_MS - TOLERANCE_MS < first.expiration <= LIFETIME_MS, LIFETIME_MS, first.expiration)
    header = bytearray(jool_header())
    header[9] = 8
    stage.check_equal("headers: command 0, version 2, the request's with the flag for more",
                      bytes([0, 2, 0, 0]) + bytes(header), seen.header)


def offsets(stage, link):
    """What comes first behind a place."""
    def first(*after):
        seen = page(link, UDP, after)
        return place(seen.entries[0]) if seen.entries else (None, seen.more)

    order = places()
    for at in (0, 40, len(order) - 2):
        stage.check_equal(f"behind session {at} comes the next", order[at + 1], first(*order[at]))
    mask, host = order[len(HOSTS) * 5]
    stage.check_equal("behind the last session of a mask comes the next mask's first", (mask, host),
                      first(*order[len(HOSTS) * 5 - 1]))
    stage.check_equal("behind a host that is not there comes the mask's next", order[len(HOSTS) * 5 + 1],
                      first(mask, (host[0], host[1] + 1)))
    stage.check_equal("behind a host above all comes the next mask's first", order[len(HOSTS) * 6],
                      first(mask, ("255.255.255.255", 0)))
    stage.check_equal("behind a mask that is not there comes the next mask's first", order[len(HOSTS) * 5],
                      first((mask[0], mask[1] - 1), ("255.255.255.255", 0)))
    stage.check_equal("without a host it is the mask's first", order[len(HOSTS) * 5], first(mask, None))
    stage.check_equal("behind the lowest place of all comes the first session", order[0],
                      first(("0.0.0.0", 0), ("0.0.0.0", 0)))
    for text, after in (("behind the last session", order[-1]),
                        ("behind the highest place of all", (("255.255.255.255", 65535),) * 2)):
        stage.check_equal(f"{text} comes nothing, and no more", (None, False), first(*after))


def the_last_page(stage, link):
    order = places()
    for left in (A_PAGE, A_PAGE + 1):
        seen = page(link, UDP, order[-left - 1])
        stage.check_equal(f"{left} sessions that are left: how many come, and whether there are more",
                          (A_PAGE, left > A_PAGE), (len(seen.entries), seen.more))


def refusals(stage, link):
    """Not asked: a protocol that does not exist. The module warns as of a bug of its own."""
    def refusal(*arguments, **header):
        try:
            return page(link, *arguments, **header)
        except Refused as refused:
            return refused.args
    stage.check_equal("a missing instance is refused", (3, "This namespace lacks an instance named 'missing'."),
                      refusal(UDP, instance="missing"))
    stage.check_equal("so is a request without a protocol",
                      (22, "The request is missing a transport protocol."), refusal(None))


def odd_stages(stage, link):
    """What peers can put into a table."""
    mask = ("203.0.113.201", 1)
    source = ("2001:db8:6::ffff", 4000)
    add(link, session(source, mask, ("198.18.0.1", 443), LIFETIME_MS, TCP, state=NO_STATE),
        session(source, mask, ("198.18.0.1", 444), INCOMING_SYN_MS - 1000, TCP, state=V4_INIT, timer=INCOMING_SYN))
    forged, syn = page(link, TCP, (mask, ("0.0.0.0", 0))).entries
    stage.check_equal("a TCP state that does not exist is listed as it came", NO_STATE, forged.state)
    # Taken for so old as its timeout of 6 ms says, and then given the 6 s.
    stage.check("an incoming SYN from a peer lives for 6 s longer than the peer said",
                INCOMING_SYN_MS < syn.expiration <= 2 * INCOMING_SYN_MS - 1000, "7 to 11 s", syn.expiration)
