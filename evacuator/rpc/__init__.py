"""The only place with oslo.messaging: the transport, who wakes computes, and how they listen."""

import os
import warnings

# It imports eventlet, whatever back end is used, and that a resolver of its own: 8 MiB of which nothing is ever called.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")

# eventlet tells every operator at every start that it is deprecated.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oslo_messaging  # noqa: F401
