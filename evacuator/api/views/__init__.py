"""What responses look like: one file per noun, from rows to JSON."""
