"""The parts of Keystone that run in processes of their own: ``prepare CONF URL PASSWORD`` and ``serve FD``.

Keystone reads its options from the global configuration and from ``sys.argv``, so that it must have both to itself.
"""

import grp
import os
import pwd
import sys

from serving import serve


def prepare(configuration: str, url: str, password: str) -> None:
    """Make the tables, the keys and an administrator."""
    from keystone.cmd import cli  # noqa: PLC0415

    def manage(*arguments: str) -> None:
        cli.CONF.reset()
        cli.main(["keystone-manage", "--config-file", configuration, *arguments])

    manage("db_sync")
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    for keys in ("fernet_setup", "receipt_setup"):
        manage(keys, "--keystone-user", user, "--keystone-group", group)
    urls = [f"--bootstrap-{kind}-url={url}/v3" for kind in ("public", "internal", "admin")]
    manage("bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "RegionOne", *urls)


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "prepare":
        prepare(*arguments)
    else:
        del sys.argv[1:]
        from keystone.wsgi.api import application

        serve(application, int(arguments[0]), threads=4)
