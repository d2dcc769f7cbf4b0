"""A table of many sessions in a kernel, without a packet for each: the kernel takes them as if from a peer."""

from .genl import JOOLD_ADD, SESSION_ENTRIES, Link, attribute, session
from .jool import FIRST_PORT
from .network import HOST6

# Of one request; its container's length has 16 bits.
SESSIONS_PER_REQUEST = 1000
# Sessions that share a mapping, as those of a busy host do.
SESSIONS_PER_PORT = 50
TCP, UDP = 0, 1
# Jool's own timeouts: what is older or younger would be another scenario.
LIFETIME_MS = {TCP: 2 * 3600 * 1000, UDP: 5 * 60 * 1000}


def fill(namespace, count, protocols=(TCP, UDP)):
    """Adds `count` sessions, of the protocols in turn, to the empty table of the namespace's instance.

    Like all that comes from a peer, they are not passed on: only an advertisement does that.
    """
    several = len(protocols)
    sessions = [_session(number // several, protocols[number % several]) for number in range(count)]
    with Link(namespace) as link:
        for start in range(0, count, SESSIONS_PER_REQUEST):
            link.jool(JOOLD_ADD, attribute(SESSION_ENTRIES, b"".join(sessions[start:start + SESSIONS_PER_REQUEST]),
                                           nested=True))
            if (refusal := link.waiting()) is not None:
                raise RuntimeError(f"the kernel of {namespace} refused sessions: {refusal!r}")


def _session(number, protocol):
    port, destination = divmod(number, SESSIONS_PER_PORT)
    return session((HOST6, 20000 + port), ("192.0.2.1", FIRST_PORT + port),
                   (f"198.18.{destination >> 8}.{destination & 255}", 7007), LIFETIME_MS[protocol], protocol)
