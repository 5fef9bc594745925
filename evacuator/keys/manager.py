"""What a key manager is asked, and what stands in where there is none."""

from dataclasses import dataclass, field
from typing import Protocol

from evacuator.context import RequestContext
from evacuator.errors import NoKeyManager


@dataclass(frozen=True)
class Key:
    """What opens a disk, and the id of the secret that it is. It is kept nowhere, and shown to nobody."""

    id: str
    passphrase: bytes = field(repr=False)


class KeyManager(Protocol):
    """Gives keys to who may have them. No call waits without limit."""

    @property
    def keeps_keys(self) -> bool:
        """Whether keys have to be fetched; otherwise the hypervisors have got theirs for good."""

    def fetch(self, context: RequestContext, key_id: str) -> Key:
        """Return a key, on behalf of who asks and with nobody else's rights.

        :raises KeyUnavailable: one of its children says why.
        """


class NoKeys:
    """No key manager: encrypted guests are evacuated, and not started."""

    keeps_keys = True

    def fetch(self, context: RequestContext, key_id: str) -> Key:  # noqa: ARG002 - nobody has any
        """Say that nobody can be asked.

        :raises NoKeyManager: always.
        """
        raise NoKeyManager


class KeysOfHypervisors(NoKeys):
    """Whoever runs the hypervisors gave each of them the keys, so that none is ever fetched."""

    keeps_keys = False
