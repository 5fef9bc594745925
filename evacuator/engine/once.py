"""A request that is carried out once, however often the transaction that does it has to run."""

from evacuator.context import RequestContext
from evacuator.db import actions
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine


class Once:
    """What a request asks of one instance, where it leaves an action."""

    def __init__(self, engine: Engine, context: RequestContext, uuid: str) -> None:
        self._engine = engine
        self._context = context
        self._uuid = uuid
        self._ran = False

    def is_done(self, transaction: Transaction) -> bool:
        """Tell whether an earlier run was committed, of which only the acknowledgement was lost. Each run asks this.

        What was done may have ended since, so that nothing else tells.

        :raises RequestTooOld: it is not, and nobody waits for it any more.
        """
        if self._ran and actions.find(transaction, self._uuid, self._context.request_id) is not None:
            return True
        self._ran = True
        self._engine.still_wanted(self._context)
        return False
