"""The protocol as an explicit-state model, explored whole."""
