"""Keys that castellan fetches, from Barbican with the token of who asks, or from another of its back ends."""

import logging
from binascii import hexlify
from collections.abc import Mapping
from typing import Any, Self

import castellan.key_manager
from barbicanclient.exceptions import HTTPAuthError
from castellan.common import exception
from castellan.common.objects.symmetric_key import SymmetricKey
from castellan.key_manager.barbican_key_manager import BarbicanKeyManager
from castellan.key_manager.vault_key_manager import VaultKeyManager
from keystoneauth1 import token_endpoint
from keystoneauth1.exceptions import ClientException
from oslo_config import cfg

from evacuator.context import RequestContext
from evacuator.errors import (
    KeyForbidden,
    KeyManagerSilent,
    KeyNotFound,
    KeyTokenRefused,
    KeyUnavailable,
    KeyUnusable,
    NotConfigured,
    NoTokenForKey,
)
from evacuator.keys.manager import Key
from evacuator.lanes import AllHang, Lanes, TimedOut

#: What a status code of the key manager's says; another one is no answer to what was asked.
REFUSALS: Mapping[int, type[KeyUnavailable]] = {403: KeyForbidden, 404: KeyNotFound}

#: Where keystoneauth1 writes what was sent and what came back, if it is told to.
SESSION_LOGS = ("keystoneauth.session", "keystoneauth.session.body")


class CastellanKeys:
    """Asks a key manager of castellan's; what a secret is and who may read it is the business of that one.

    ``endpoint``: where Barbican is, which is shown the caller's token as it is; None for whoever wants none.
    """

    keeps_keys = True

    def __init__(self, manager: Any, timeout: float, endpoint: str | None = None) -> None:
        self._manager = manager
        self._timeout = timeout
        self._endpoint = endpoint
        self._lanes = Lanes("keys")
        for name in SESSION_LOGS:
            logging.getLogger(name).addFilter(_tells_no_content)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "CastellanKeys":
        """Make the back end that ``[key_manager]`` names, from sections that are castellan's own.

        :raises NotConfigured: it cannot be made, or it is Barbican and nobody said where that is.
        """
        try:
            manager = castellan.key_manager.API(conf)
        except Exception as error:  # whatever its back ends make of what is configured
            raise NotConfigured(reason=f"[key_manager] backend cannot be used: {error}") from error
        if not isinstance(manager, BarbicanKeyManager):
            return cls(manager, conf.encryption.key_timeout)
        endpoint = conf.barbican.barbican_endpoint
        if not endpoint:
            raise NotConfigured(
                reason="[encryption] key_source = castellan asks Barbican: say where that is with barbican_endpoint in "
                "section [barbican], such as https://cloud.example.org/key-manager."
            )
        return cls(manager, conf.encryption.key_timeout, endpoint)

    def fetch(self, context: RequestContext, key_id: str) -> Key:
        """Fetch a key with the caller's own token.

        :raises KeyUnavailable: one of its children says why.
        """
        if self._endpoint and not context.auth_token:
            raise NoTokenForKey
        caller = _Caller.of(context, _TokenAsItIs(self._endpoint, context.auth_token, self._timeout))
        try:
            return self._lanes.call(lambda: self._fetch(caller, key_id), self._timeout)
        except TimedOut:
            raise KeyManagerSilent(reason=f"no answer within {self._timeout:g} seconds") from None
        except AllHang:
            raise KeyManagerSilent(reason="too many questions wait for an answer already") from None

    def _fetch(self, caller: "_Caller", key_id: str) -> Key:
        # What is raised below may have the secret in it. So nothing is chained, and of an error of which nothing is
        # known only its kind is told.
        try:
            secret = self._manager.get(caller, self._spelled(key_id))
        except (exception.ManagedObjectNotFoundError, exception.Forbidden, exception.KeyManagerError) as error:
            raise _meaning(error, key_id) from None
        except UnicodeError:
            raise KeyUnusable(key_id=key_id, what="is not the text that it says it is") from None
        except ClientException as error:
            raise KeyManagerSilent(reason=str(error).rstrip(".")) from None
        except Exception as error:  # noqa: BLE001 - told as one of ours
            raise KeyManagerSilent(reason=type(error).__name__) from None
        return Key(key_id, _passphrase_in(secret, key_id))

    def _spelled(self, key_id: str) -> str:
        """Spell an id, which libvirt has as a UUID, as the back end does."""
        return key_id.replace("-", "") if isinstance(self._manager, VaultKeyManager) else key_id


class _Caller(RequestContext):
    """Who asks, as castellan wants it told."""

    proof: "_TokenAsItIs"

    @classmethod
    def of(cls, context: RequestContext, proof: "_TokenAsItIs") -> Self:
        """Make it of the context of a request."""
        made = cls.from_dict(context.to_dict(), overwrite=False)
        made.proof = proof
        return made

    def get_auth_plugin(self) -> "_TokenAsItIs":
        """Return what proves it. Were it not for this, castellan would first exchange the token at Keystone."""
        return self.proof


class _TokenAsItIs(token_endpoint.Token):  # type: ignore[misc]
    """Shows a token where it is told to."""

    def __init__(self, endpoint: str | None, token: str | None, timeout: float) -> None:
        super().__init__(endpoint, token)
        self._timeout = timeout

    def get_headers(self, session: Any) -> Any:
        """Return the token in its header, and tell the session how long to wait: castellan's wait for ever."""
        session.timeout = self._timeout
        return super().get_headers(session)


def _meaning(error: Exception, key_id: str) -> KeyUnavailable:
    if isinstance(error, exception.ManagedObjectNotFoundError):
        return KeyNotFound(key_id=key_id)
    if isinstance(error, exception.Forbidden):
        return KeyForbidden(key_id=key_id)
    # castellan raises it while it handles what the client raised.
    said = error.__context__
    kind = KeyTokenRefused if isinstance(said, HTTPAuthError) else REFUSALS.get(getattr(said, "status_code", 0))
    return kind(key_id=key_id) if kind is not None else KeyManagerSilent(reason=str(error).rstrip("."))


def _passphrase_in(secret: Any, key_id: str) -> bytes:
    """Return what opens the disk: what the secret holds, and of a key in the sense of ciphers its hexadecimal digits.

    So do the services of OpenStack with the volumes that they encrypt.
    """
    content = secret.get_encoded()
    if not content:
        raise KeyUnusable(key_id=key_id, what="holds nothing")
    if isinstance(content, str):
        content = content.encode()
    return hexlify(content) if isinstance(secret, SymmetricKey) else bytes(content)


def _tells_no_content(record: logging.LogRecord) -> bool:
    """Keep what came back out of the log: of a secret that is stored as text, that is the secret."""
    return not (record.name.endswith(".body") or record.getMessage().startswith("RESP BODY"))
