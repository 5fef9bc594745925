"""The way messages take: in-process (``fake://``), or a broker."""

import oslo_messaging
from oslo_config import cfg

TOPIC = "compute"

#: What a message travels on.
Transport = oslo_messaging.RPCTransport


def open_transport(conf: cfg.ConfigOpts) -> Transport:
    """Open the transport that ``transport_url`` names.

    ``conf`` must be the global ``cfg.CONF``: oslo.messaging registers some of its options nowhere else.
    """
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])
