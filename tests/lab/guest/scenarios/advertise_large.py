"""100,000 sessions advertised to an empty K, busy or not, with a smaller buffer or not; only on request"""

from lab.advertisement import measure

DAEMONS = "compared"
ON_REQUEST = True
# Too little for 2,778 datagrams that all wait: each takes about 2,400 bytes, and the kernel's limit is twice the value.
SMALL = {"receive buffer": 2 * 1024 * 1024}
RUNS = {
    "ours": ("ours/ours", {}),
    "ours, 2 MiB": ("ours/ours", {"netsocket": SMALL, "whole": False}),
    "upstream": ("upstream/upstream", {}),
    "ours, K busy": ("ours/ours", {"busy": True}),
    "ours, 2 MiB, K busy": ("ours/ours", {"busy": True, "netsocket": SMALL, "whole": False}),
    "upstream, K busy": ("upstream/upstream", {"busy": True}),
}
BASES = {"ours": "upstream", "ours, 2 MiB": "upstream",
         "ours, K busy": "upstream, K busy", "ours, 2 MiB, K busy": "upstream, K busy"}


def run(stage, **options):
    return measure(stage, 100000, **options)
