"""100,000 sessions advertised to an empty K, busy or not, with a larger buffer or not; only on request"""

from lab.advertisement import measure

DAEMONS = "compared"
ON_REQUEST = True
# For 2,778 datagrams that all wait: each takes about 2,400 bytes, and the kernel's limit is twice the value.
LARGE = {"receive buffer": 4 * 1024 * 1024}
RUNS = {
    "ours": ("ours/ours", {"whole": False}),
    "ours, 4 MiB": ("ours/ours", {"netsocket": LARGE}),
    "upstream": ("upstream/upstream", {}),
    "ours, K busy": ("ours/ours", {"busy": True, "whole": False}),
    "ours, 4 MiB, K busy": ("ours/ours", {"busy": True, "netsocket": LARGE}),
    "upstream, K busy": ("upstream/upstream", {"busy": True}),
}
BASES = {"ours": "upstream", "ours, 4 MiB": "upstream",
         "ours, K busy": "upstream, K busy", "ours, 4 MiB, K busy": "upstream, K busy"}


def run(stage, **options):
    return measure(stage, 100000, **options)
