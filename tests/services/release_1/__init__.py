"""A compute manager as release 1 shipped it, frozen: service version 1, RPC 1.0. It is never brought up to date."""
