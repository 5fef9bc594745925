"""The keys of an instance's encrypted disks: whether they are needed, and for whom they are fetched."""

import logging

from evacuator.context import RequestContext
from evacuator.db.models import Instance
from evacuator.engine.engine import Engine
from evacuator.errors import CallerGone, KeyUnavailable
from evacuator.keys.manager import Key

LOG = logging.getLogger(__name__)


def needs_keys(engine: Engine, instance: Instance) -> bool:
    """Whether the instance can be started only with keys that have to be fetched first."""
    return bool(instance.key_ids) and engine.keys.keeps_keys


def fetch_keys(engine: Engine, caller: RequestContext | None, instance: Instance) -> tuple[Key, ...]:
    """Fetch every key that a start of the instance needs, if any, with the rights of who asked for it.

    It takes as long as the key manager takes, so that it belongs into no transaction.

    :raises KeyUnavailable: one of its children says why; CallerGone when nobody is at hand whose rights these could be.
    """
    if not needs_keys(engine, instance):
        return ()
    if caller is None:
        raise CallerGone
    return tuple(_fetch(engine, caller, instance, key_id) for key_id in instance.key_ids or ())


def _fetch(engine: Engine, caller: RequestContext, instance: Instance, key_id: str) -> Key:
    who = f"user {caller.user_id} of project {caller.project_id} [{caller.request_id}]"
    try:
        key = engine.keys.fetch(caller, key_id)
    except KeyUnavailable as unavailable:
        LOG.warning("secret %s of instance %s was not fetched for %s: %s", key_id, instance.uuid, who, unavailable)
        raise
    LOG.info("secret %s of instance %s was fetched for %s", key_id, instance.uuid, who)
    return key
