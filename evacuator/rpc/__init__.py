"""The only place with oslo.messaging: the transport, who wakes computes, and how they listen."""

import warnings

# It imports eventlet, whatever back end is used, which tells every operator at every start that it is deprecated.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oslo_messaging  # noqa: F401
