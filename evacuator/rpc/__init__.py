"""The only place with oslo.messaging: the transport, who wakes computes, and how they listen."""
