"""What goes on beside a scenario."""

import threading


class Background:
    """A thread that runs `_run` while this is entered; that ends soon after `_over` is set."""

    def __init__(self):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
