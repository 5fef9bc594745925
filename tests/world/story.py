"""What happened, as lines that a person can read and two runs can be compared by."""

import logging

from tests.world.clockwork import DAWN


class Story(logging.Handler):
    """Collects lines; ids are replaced by the names that people gave."""

    def __init__(self, hub):
        super().__init__()
        self._lines = []
        self._hub = hub
        self._names = {}

    def name(self, uuid, name):
        self._names[uuid] = name

    def tell(self, line):
        self._lines.append(f"{self._hub.now - DAWN:8.1f}  {line}")

    @property
    def lines(self):
        """All that was told; some of it before the names were known."""
        text = "\n".join(self._lines)
        for uuid, name in self._names.items():
            text = text.replace(uuid, name)
        return text.splitlines()

    def emit(self, record):
        transition = getattr(record, "transition", None)
        if transition:
            self.tell(f"    {record.getMessage()}")

    def listen(self):
        """Take in the transitions that the engine logs; what compute managers say of every fault is too much."""
        logger = logging.getLogger("evacuator.engine.record")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        logging.getLogger("evacuator.compute").setLevel(logging.CRITICAL)

    def close(self):
        logging.getLogger("evacuator.engine.record").removeHandler(self)
        logging.getLogger("evacuator.compute").setLevel(logging.NOTSET)
        super().close()

    def __str__(self):
        return "\n".join(self.lines) + "\n"
