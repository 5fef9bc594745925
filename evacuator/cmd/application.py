"""The WSGI application of a site. Only who serves the API imports it: that takes 18 MiB and a quarter of a second."""

from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from oslo_config import cfg

from evacuator.api.app import make_app
from evacuator.api.auth import authenticator_of
from evacuator.api.folder_images import FolderImages
from evacuator.api.images import BuiltInImages, Images
from evacuator.api.settings import ApiSettings
from evacuator.engine.engine import Engine
from evacuator.rpc.rush import Rush
from evacuator.virt.libvirt.images import ImageFolder

#: Requests that cause no messages.
READS = frozenset({"GET", "HEAD"})


def application_of(conf: cfg.ConfigOpts, engine: Engine, rush: Rush) -> WSGIApplication:
    """Put the WSGI application together, all of whose requests that change anything are part of ``rush``.

    :raises NotConfigured: nobody could be authenticated, or images cannot be had from where they are said to be.
    """
    application = make_app(
        engine,
        ApiSettings(
            enable_instance_password=conf.api.enable_instance_password,
            compute_link_prefix=conf.api.compute_link_prefix,
            max_limit=conf.api.max_limit,
            max_body_bytes=conf.api.max_body_bytes,
        ),
        images=images_of(conf),
        authenticate=authenticator_of(conf),
    )
    return part_of(rush, application)


def part_of(rush: Rush, application: WSGIApplication) -> WSGIApplication:
    """Have ``rush`` last while the application answers a request that may cause a message."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READS:
            return application(environ, start_response)
        with rush.answering():
            return application(environ, start_response)

    return answer


def images_of(conf: cfg.ConfigOpts) -> Images:
    """Make where images come from: an image service if one is configured, else what the driver has by itself.

    :raises NotConfigured:
    """
    if conf.glance.enabled:
        from evacuator.api.glance_images import GlanceImages  # noqa: PLC0415 - it brings an SDK with it

        return GlanceImages.from_conf(conf)
    if conf.compute.driver == "libvirt":
        return FolderImages(ImageFolder(Path(conf.libvirt.images_path)))
    return BuiltInImages()
