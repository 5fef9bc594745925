"""``http_basic``: users and passwords from a file, and, if wanted, their projects and roles from another."""

import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import bcrypt
from oslo_config import cfg

from evacuator.api.auth.roles import ADMIN, ADMIN_ROLES, MEMBER_ROLES
from evacuator.api.errors import Forbidden, Unauthenticated
from evacuator.api.http import Request
from evacuator.context import RequestContext
from evacuator.errors import NotConfigured

LOG = logging.getLogger(__name__)

T = TypeVar("T")

CHALLENGE = 'Basic realm="Evacuator", charset="UTF-8"'

#: What bcrypt writes: version, cost, and 53 characters of salt and hash.
BCRYPT = re.compile(rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

#: bcrypt has never looked at more of a password.
MOST_BYTES = 72

#: What a user may be called, and a project, and a role.
NAME = re.compile(r"[^\s:,#]{1,255}")


@dataclass(frozen=True)
class Standing:
    """What a user is here: in which project, with which roles."""

    project_id: str
    roles: tuple[str, ...]


ADMINISTRATOR = Standing(ADMIN, ADMIN_ROLES)


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Read the lines of a file that say something: where each stands, and its parts between the colons.

    :raises NotConfigured: the file cannot be read.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(reason=f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", line.strip().split(":")


def _check_name(what: str, name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise NotConfigured(reason=f"{where}: {name!r} cannot be the name of a {what}.")
    return name


def read_passwords(path: Path) -> dict[str, bytes]:
    """Read ``user:hash`` lines, as ``htpasswd -B`` writes them.

    :raises NotConfigured: the file cannot be read, or has another kind of hash.
    """
    hashes: dict[str, bytes] = {}
    for where, parts in _lines(path):
        user = _check_name("user", parts[0], where)
        stored = parts[1].encode() if len(parts) > 1 else b""
        if not BCRYPT.fullmatch(stored):
            raise NotConfigured(
                reason=f"{where}: the password of user {user} is not hashed with bcrypt. Set it again: "
                f"htpasswd -B {path} {user}"
            )
        if user in hashes:
            raise NotConfigured(reason=f"{where}: user {user} is there a second time.")
        hashes[user] = stored
    if not hashes:
        raise NotConfigured(reason=f"{path} has no users. Add one: htpasswd -B {path} USER")
    return hashes


def read_standings(path: Path) -> dict[str, Standing]:
    """Read ``user:project:role,role`` lines; who is given no roles is a member.

    :raises NotConfigured: the file cannot be read, or a line is of another form.
    """
    standings: dict[str, Standing] = {}
    for where, parts in _lines(path):
        if len(parts) not in (2, 3):
            raise NotConfigured(reason=f"{where}: expected user:project or user:project:role,role.")
        user = _check_name("user", parts[0], where)
        if user in standings:
            raise NotConfigured(reason=f"{where}: user {user} is there a second time.")
        given = [name.strip() for name in parts[2].split(",")] if len(parts) > 2 else list(MEMBER_ROLES)  # noqa: PLR2004
        roles = _implied([_check_name("role", name, where) for name in given])
        standings[user] = Standing(_check_name("project", parts[1], where), roles)
    return standings


def _implied(roles: list[str]) -> tuple[str, ...]:
    """Add the roles that each one implies, as Keystone does: an admin is a manager is a member is a reader."""
    ranks = [ADMIN_ROLES.index(role) for role in roles if role in ADMIN_ROLES]
    implied = ADMIN_ROLES[min(ranks) :] if ranks else ()
    return (*implied, *(role for role in roles if role not in implied))


class WatchedFile(Generic[T]):
    """What a file says, read again whenever it changed. A change that makes no sense is logged, and changes nothing."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._seen = self._mark()
        self._content = read(path)

    def content(self) -> T:
        """Return what it says now."""
        mark = self._mark()
        if mark != self._seen:
            self._seen = mark
            try:
                self._content = self._read(self._path)
                LOG.info("%s was read again.", self._path)
            except NotConfigured as refused:
                LOG.error("What %s said before stays in force: %s", self._path, refused)  # noqa: TRY400
        return self._content

    def _mark(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Passwords:
    """Tells whether a password is that of a user; who is no user takes as long as who is one.

    A password that was right is remembered, as a keyed digest, until the file says something else: bcrypt is slow on
    purpose, and a client sends it with every request.
    """

    def __init__(self, file: WatchedFile[dict[str, bytes]]) -> None:
        self._file = file
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        # As slow as the slowest of the users' own.
        cost = max(int(stored[4:6]) for stored in file.content().values())
        self._nobodys = bcrypt.hashpw(secrets.token_hex(16).encode(), bcrypt.gensalt(cost))

    def fits(self, user: str, password: bytes) -> bool:
        """Tell whether it is the user's password."""
        stored = self._file.content().get(user)
        if stored is None:
            bcrypt.checkpw(password[:MOST_BYTES], self._nobodys)
            return False
        digest = hmac.digest(self._key, stored + b"\0" + password, hashlib.sha256)
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        right = bcrypt.checkpw(password[:MOST_BYTES], stored)
        if right:
            self._right[user] = digest
        return right


class HttpBasic:
    """Believes who knows a password."""

    def __init__(self, passwords: Passwords, standings: WatchedFile[dict[str, Standing]] | None) -> None:
        self._passwords = passwords
        self._standings = standings

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "HttpBasic":
        """Read the files that are configured.

        :raises NotConfigured: one of them is missing or makes no sense.
        """
        named = conf.api.http_basic_projects_file
        passwords = Passwords(WatchedFile(Path(conf.api.http_basic_auth_user_file), read_passwords))
        return cls(passwords, WatchedFile(Path(named), read_standings) if named else None)

    def __call__(self, request: Request) -> RequestContext:
        """Check the password, then find out what its user is here."""
        user, password = _credentials(request)
        if not self._passwords.fits(user, password):
            LOG.warning("Wrong user or password from %s: user %r", request.remote_addr, user)
            raise Unauthenticated(challenge=CHALLENGE)
        standing = self._standing(user)
        return RequestContext(
            user_id=user,
            project_id=standing.project_id,
            roles=list(standing.roles),
            request_id=request.request_id,
            global_request_id=request.get_header("X-OpenStack-Request-ID"),
        )

    def _standing(self, user: str) -> Standing:
        if self._standings is None:
            return ADMINISTRATOR
        known: Mapping[str, Standing] = self._standings.content()
        if user not in known:
            raise Forbidden(reason=f"User {user} has no project here; whoever runs this service can give them one.")
        return known[user]


def _credentials(request: Request) -> tuple[str, bytes]:
    scheme, _, encoded = (request.get_header("Authorization") or "").partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise Unauthenticated(challenge=CHALLENGE) from error
    if scheme.lower() != "basic" or not colon:
        raise Unauthenticated(challenge=CHALLENGE)
    return user, password.encode()
