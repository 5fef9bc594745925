"""What requests may look like: one file per noun, each version window's schema written out whole."""
