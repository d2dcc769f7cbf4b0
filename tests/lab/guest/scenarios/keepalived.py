"""J loses its power under 200 TCP connections and comes back, with real keepalived; only on request, wants --count"""

from lab.powercut import NOTES, RUNS, lose_power_and_come_back

DAEMONS = "compared"
# Without --count, an emulated processor may be late with adverts that come ten times a second.
ON_REQUEST = True
BASES = {}


def run(stage):
    return lose_power_and_come_back(stage)
