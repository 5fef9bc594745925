"""Which hosts are fenced, and that nobody evacuates one that is not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Fences:
    """Hosts that are off for certain.

    An evacuation is asked for only while its source is known to be off: whoever asks holds that fact for as long as the
    request takes, and a host is switched on only when nobody does.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._askers: dict[str, int] = {}
        self._leaving: set[str] = set()

    def put_up(self, host: str) -> None:
        """Say that a host is off."""
        with self._changed:
            self._askers[host] = 0

    def take_down(self, host: str) -> None:
        """Wait until nobody counts on the host being off; from here on nobody does."""
        with self._changed:
            self._leaving.add(host)
            self._changed.wait_for(lambda: not self._askers.get(host), 60)
            self._askers.pop(host, None)
            self._leaving.discard(host)

    @property
    def hosts(self) -> list[str]:
        """The hosts that are off and stay so for now."""
        with self._changed:
            return [host for host in self._askers if host not in self._leaving]

    @contextmanager
    def counted_on(self, host: str | None) -> Iterator[bool]:
        """Keep a host off within this; yields False when it is not."""
        with self._changed:
            held = host in self._askers and host not in self._leaving
            if held:
                self._askers[str(host)] += 1
        try:
            yield held
        finally:
            if held:
                with self._changed:
                    self._askers[str(host)] -= 1
                    self._changed.notify_all()
