"""A key manager that gives each key to who shows a token that may have it, and remembers who asked."""

from evacuator.errors import KeyForbidden, KeyManagerSilent, NoTokenForKey
from evacuator.keys.manager import Key

OWNER, STRANGER = "the owner's token", "a stranger's token"
PASSPHRASE = b"correct horse battery staple"


class Shelf:
    """``fetched``: (process, token, id of the secret) of every key that was given away."""

    def __init__(self):
        self.readers = {OWNER}
        self.silent = False
        self.fetched = []

    def give(self, process, context, key_id):
        if self.silent:
            raise KeyManagerSilent(reason="nobody is there")
        if not context.auth_token:
            raise NoTokenForKey
        if context.auth_token not in self.readers:
            raise KeyForbidden(key_id=key_id)
        self.fetched.append((process, context.auth_token, key_id))
        return Key(key_id, PASSPHRASE)


class WatchedKeys:
    """A process's way to the shelf."""

    keeps_keys = True

    def __init__(self, process, shelf):
        self._process = process
        self._shelf = shelf

    def fetch(self, context, key_id):
        self._process.cross("before", "fetch_key")
        key = self._shelf.give(self._process.name, context, key_id)
        self._process.cross("after", "fetch_key")
        return key
