"""The versioned objects that cross RPC, and only those."""
