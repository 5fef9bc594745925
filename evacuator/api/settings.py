"""What an operator may set for the API, as a plain value: the composition root fills it from the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ApiSettings:
    """Settings of the API.

    ``compute_link_prefix``: what links start with instead of the scheme and host of the request.
    ``max_limit``: the most rows of one page. ``max_body_bytes``: in bytes.
    """

    enable_instance_password: bool = True
    compute_link_prefix: str | None = None
    max_limit: int = 1000
    max_body_bytes: int = 114688
