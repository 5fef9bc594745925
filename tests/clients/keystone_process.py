"""The parts of Keystone that run in processes of their own: ``prepare CONF URL PASSWORD`` and ``serve FD``.

Keystone reads its options from the global configuration and from ``sys.argv``, so that it must have both to itself.
"""

import grp
import os
import pwd
import socket
import sys
import threading


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


def serve(descriptor: int) -> None:
    """Answer on a socket that somebody else has bound, for as long as standard input stays open."""
    del sys.argv[1:]
    import waitress  # noqa: PLC0415
    from keystone.wsgi.api import application  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, daemon=True).start()
    waitress.serve(application, sockets=[socket.socket(fileno=descriptor)], threads=4, _quiet=True)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(*sys.argv[2:])
    else:
        serve(int(sys.argv[2]))
