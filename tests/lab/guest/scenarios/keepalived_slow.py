"""the same with an advert a second, as VRRP 2 has it; only on request, wants --count"""

from lab.powercut import NOTES, RUNS, lose_power_and_come_back

DAEMONS = "compared"
ON_REQUEST = True
BASES = {}


def run(stage):
    return lose_power_and_come_back(stage, advert_int=1)
