"""What every resource works with."""

from dataclasses import dataclass

from evacuator.api.images import Images
from evacuator.api.policies import Policy
from evacuator.api.settings import ApiSettings
from evacuator.engine.engine import Engine


@dataclass(frozen=True)
class Collaborators:
    """The engine, what operators set, where images come from, and who may do what."""

    engine: Engine
    settings: ApiSettings
    images: Images
    policy: Policy
