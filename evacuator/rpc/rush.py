"""Answers come first: what can wait does so while requests are being answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Rush:
    """Counts the requests that this process is answering, for whoever has time until there are none."""

    def __init__(self) -> None:
        self._requests = 0
        self._over = threading.Condition()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Within this, one more request is being answered."""
        with self._over:
            self._requests += 1
        try:
            yield
        finally:
            with self._over:
                self._requests -= 1
                if not self._requests:
                    self._over.notify_all()

    def wait_until_over(self, seconds: float) -> None:
        """Wait until no request is being answered, so many seconds at most."""
        with self._over:
            self._over.wait_for(lambda: not self._requests, seconds)
