"""Images of an OpenStack image service, which openstacksdk speaks to."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, TypeVar

from oslo_config import cfg

from evacuator.api.errors import Forbidden
from evacuator.api.images import BuiltInImages, Image
from evacuator.context import RequestContext
from evacuator.errors import ImageNotFound, ImagesUnavailable, NotConfigured

LOG = logging.getLogger(__name__)

T = TypeVar("T")

SECTION = "glance"

#: Seconds that the image service has for each answer, unless ``timeout`` says otherwise.
PATIENCE = 10

#: What the image service makes ids of. Anything else could lead to another address of it.
IMAGE_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: What is shown of an image: the same wherever it comes from.
KEYS = tuple(BuiltInImages.IMAGE)

#: How many images one request of ours asks for.
PAGE = 1000

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404

#: Opens the image service for a caller, for one question; the SDK's own type is known only where it is installed.
Open = Callable[[RequestContext], AbstractContextManager[Any]]


class GlanceImages:
    """The images that the image service shows: to each caller theirs where callers have tokens, else to all the same.

    ``answers_callers``: it is asked with the callers' tokens, so that a refusal is theirs to mend.
    """

    def __init__(self, open_for: Open, *, answers_callers: bool) -> None:
        self._open_for = open_for
        self._answers_callers = answers_callers

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "GlanceImages":
        """Read ``[glance]``, most of whose options are keystoneauth's.

        :raises NotConfigured: openstacksdk is not installed, or the section lacks what it needs.
        """
        try:
            from keystoneauth1 import loading  # noqa: PLC0415 - an extra
            from openstack.connection import Connection  # noqa: PLC0415
        except ImportError as error:
            raise NotConfigured(
                reason=f"[glance] enabled needs openstacksdk ({error}): pip install 'evacuator[glance]'."
            ) from error
        loading.register_session_conf_options(conf, SECTION)
        loading.register_adapter_conf_options(conf, SECTION)
        loading.register_auth_conf_options(conf, SECTION)
        conf.set_default("timeout", PATIENCE, group=SECTION)

        # What every caller's session shares: open connections, and what is known of the service.
        shared = {"session": loading.load_session_from_conf_options(conf, SECTION).session, "discovery_cache": {}}

        def connect(auth: Any) -> Any:
            session = loading.load_session_from_conf_options(conf, SECTION, auth=auth, **shared)
            return Connection(session=session, oslo_conf=conf, service_types=["image"])

        if conf.api.auth_strategy == "keystone":
            # Older releases of the SDK keep what is not closed, with the caller's token, until the process ends.
            return cls(lambda caller: closing(connect(caller.token_auth)), answers_callers=True)
        if not conf[SECTION].auth_type:
            raise NotConfigured(
                reason=f"[{SECTION}] enabled needs a user whose images are those of everybody here, since callers have "
                f"no tokens: set auth_type, auth_url, username, password and the rest in [{SECTION}]."
            )
        try:
            connection = connect(loading.load_auth_from_conf_options(conf, SECTION))
        except Exception as error:  # whatever keystoneauth's plugins make of what is configured
            raise NotConfigured(reason=f"[{SECTION}] cannot be used: {error}") from error
        return cls(lambda _caller: nullcontext(connection), answers_callers=False)

    def list(self, caller: RequestContext) -> Sequence[Image]:
        """Return all images that ``caller`` may use.

        :raises ImagesUnavailable:
        """
        return self._ask(caller, lambda service: [_shown(image) for image in service.images(limit=PAGE)])

    def get(self, caller: RequestContext, image_id: str) -> Image:
        """Return an image.

        :raises ImageNotFound, ImagesUnavailable:
        """
        if not IMAGE_ID.fullmatch(image_id):
            raise ImageNotFound(image_id=image_id)
        image = self._ask(caller, lambda service: _found(service, image_id))
        if image is None:
            raise ImageNotFound(image_id=image_id)
        return image

    def _ask(self, caller: RequestContext, question: Callable[[Any], T]) -> T:
        try:
            with self._open_for(caller) as connection:
                return question(connection.image)
        except Exception as error:  # the SDK's, keystoneauth's, and what either makes of an answer that is none
            if self._answers_callers and _status(error) in (UNAUTHORIZED, FORBIDDEN):
                raise Forbidden(
                    reason="The image service does not accept this token. Ask Keystone for a new one."
                ) from error
            LOG.warning("The image service cannot be used [%s]: %r", caller.request_id, error)
            raise ImagesUnavailable(
                reason="The image service does not answer as it should, so that nobody knows which images there are. "
                f"Try again later. Operators: the log says more under {caller.request_id}."
            ) from error


def _found(service: Any, image_id: str) -> Image | None:
    try:
        image = _shown(service.get_image(image_id))
    except Exception as error:
        # Keystone's own 404 carries its status under another name.
        if getattr(error, "status_code", None) == NOT_FOUND:
            return None
        raise
    if image["id"].lower() != image_id.lower():  # some databases take either for the other
        raise ValueError(f"asked for image {image_id} it tells of {image['id']}")
    return image


def _shown(image: Any) -> Image:
    known = image.to_dict(computed=False, original_names=True)
    shown = {key: known[key] for key in KEYS}
    # Whatever answers where the image service should be, the SDK makes images of it.
    if not (isinstance(shown["id"], str) and isinstance(shown["status"], str)):
        raise TypeError(f"an image without an id or a status: {shown}")
    return shown


def _status(error: Exception) -> int | None:
    """Return the HTTP status that the SDK's and keystoneauth's errors carry, each in its own way."""
    status = getattr(error, "status_code", None) or getattr(error, "http_status", None)
    return status if isinstance(status, int) else None
