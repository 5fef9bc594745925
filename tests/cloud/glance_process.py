"""The parts of Glance that run in processes of their own: ``prepare CONF`` and ``serve FD``.

Like Keystone it reads its options from the global configuration and from ``sys.argv``.
"""

import sys

from serving import serve


def prepare(configuration: str) -> None:
    """Make the tables."""
    from glance.cmd import manage  # noqa: PLC0415

    sys.argv[1:] = ["--config-file", configuration, "db", "sync"]
    manage.main()


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "prepare":
        prepare(*arguments)
    else:
        del sys.argv[1:]
        from glance.wsgi.api import application

        serve(application, int(arguments[0]), threads=2)
