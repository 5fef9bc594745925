"""Keys that a libvirt daemon is lent: from right before a start until right after it, whatever comes of it.

A secret of libvirt's that is ephemeral lives in the daemon's memory alone, and the value of a private one is never
shown to a client. A guest needs its secret only to start: one that runs does not notice when it is taken away.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from xml.sax.saxutils import escape

import libvirt

from evacuator.errors import DriverError
from evacuator.keys.manager import Key
from evacuator.virt.libvirt import definition, refusals
from evacuator.virt.libvirt.connection import FAILURES, Call, is_alive, words_of

LOG = logging.getLogger(__name__)

#: What the description of every secret of ours begins with.
MARK = "urn:evacuator:loan:1"

_LOAN = """
<secret ephemeral='yes' private='yes'>
  <uuid>{uuid}</uuid>
  <description>{description}</description>
</secret>
"""


class Loans:
    """The keys that one host's daemon is lent. A key that two starts need at once is lent to one after the other.

    ``patience``: how long a start waits for its turn, in seconds.
    """

    def __init__(self, host: str, patience: float) -> None:
        self._host = host
        self._patience = patience
        self._guard = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # How often something was left to take back, and how many of those times somebody has looked since, to the end.
        # The first is for who was here before us, and may have died in the middle of a start.
        self._left_behind = 1
        self._looked_for = 0
        self._complained = False

    @contextmanager
    def lent(self, call: Call, keys: Sequence[Key], cause: str) -> Iterator[None]:
        """Within this the daemon has ``keys``. One that somebody else gave it for good is theirs, and is used as it is.

        :raises DriverError: it could not be given one of them.
        """
        with ExitStack() as taking_back:
            # In one order everywhere, so that nobody waits for each other.
            for key in sorted(keys, key=lambda key: key.id):
                taking_back.enter_context(self._turn(key.id))
                secret = self._lend(call, key, cause)
                if secret is not None:
                    taking_back.callback(self._take_one_back, secret)
            yield

    def take_back(self, conn: Any) -> None:
        """Take back what could not be taken back right after its start, as when the process died in it."""
        left_behind = self._left_behind
        if self._looked_for == left_behind:
            return
        found = self._list(conn)
        if found is None:
            return
        for secret in found:
            turn = self._turn_of(secret.UUIDString())
            if turn.acquire(blocking=False):  # else a start has it, and takes it back itself
                try:
                    self._take_one_back(secret, only_ours=True)
                finally:
                    turn.release()
        # What was left meanwhile may have been missed, and is looked for the next time.
        self._looked_for = left_behind

    def _list(self, conn: Any) -> Sequence[Any] | None:
        """Return the secrets of the daemon; None where it does not tell, and is asked again the next time."""
        try:
            found: Sequence[Any] = conn.listAllSecrets(libvirt.VIR_CONNECT_LIST_SECRETS_EPHEMERAL)
        except FAILURES as error:
            if not is_alive(conn):
                raise
            if not _says(error, libvirt.VIR_ERR_NO_SUPPORT):
                # So it is for good where the daemon for secrets was never installed: once in the log is enough.
                LOG.log(
                    logging.DEBUG if self._complained else logging.WARNING,
                    "%s: does not tell which secrets it has: %s",
                    self._host,
                    words_of(error),
                )
                self._complained = True
                return None
            # Some hypervisors know no secrets. Who knows none holds none.
            LOG.info("%s: has no secrets: %s", self._host, error)
            return []
        return found

    def _turn_of(self, key_id: str) -> threading.Lock:
        with self._guard:
            return self._turns[key_id]

    @contextmanager
    def _turn(self, key_id: str) -> Iterator[None]:
        turn = self._turn_of(key_id)
        if not turn.acquire(timeout=self._patience):
            raise DriverError(
                reason=f"Another guest on host {self._host} is being started with the same key, secret {key_id}, and "
                "does not come to its end: try again later."
            )
        try:
            yield
        finally:
            turn.release()

    def _lend(self, call: Call, key: Key, cause: str) -> Any:
        """Give the daemon one key; return the secret that has to be taken back, None where that is somebody else's."""
        secret = None
        try:
            there = _lookup(call.conn, key.id)
            if there is not None and not _is_ours(there):
                LOG.info("%s: has secret %s for good, so that it is not lent [%s]", self._host, key.id, cause)
                return None
            call.require_wanted()
            described = escape(f"{MARK} for {cause}")
            secret = call.conn.secretDefineXML(_LOAN.format(uuid=key.id, description=described))
            secret.setValue(key.passphrase)
        except FAILURES as error:
            if secret is not None:
                self._take_one_back(secret)
            # Whatever became of the key, the guest was not started.
            reason = f"Host {self._host} could not be given secret {key.id}: {words_of(error)}."
            raise DriverError(reason=reason) from error
        LOG.info("%s: lent secret %s [%s]", self._host, key.id, cause)
        return secret

    def _take_one_back(self, secret: Any, *, only_ours: bool = False) -> None:
        """Take a key back. What cannot be taken back now is at the next cleaning, unless it went with the daemon."""
        try:
            if only_ours:
                if not _is_ours(secret):
                    return
                LOG.warning("%s: secret %s was left behind by a start; taken back", self._host, secret.UUIDString())
            secret.undefine()
        except FAILURES as error:
            if _says(error, libvirt.VIR_ERR_NO_SECRET):
                return
            with self._guard:
                self._left_behind += 1
            LOG.warning("%s: a secret that was lent could not be taken back yet: %s", self._host, words_of(error))


def _says(error: Exception, code: int) -> bool:
    """Tell whether an error is this one of libvirt's. Which one SystemError stands for nobody knows."""
    return isinstance(error, libvirt.libvirtError) and refusals.code_of(error) == code


def _lookup(conn: Any, key_id: str) -> Any:
    try:
        return conn.secretLookupByUUIDString(key_id)
    except libvirt.libvirtError as error:
        if _says(error, libvirt.VIR_ERR_NO_SECRET):
            return None
        raise


def _is_ours(secret: Any) -> bool:
    described = definition.parse_element(secret.XMLDesc(), "A secret's description")
    return definition.text_of(described, "description").startswith(MARK)
