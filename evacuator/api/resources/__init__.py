"""What each address answers: one file per noun, one class per address, one method per HTTP method."""
