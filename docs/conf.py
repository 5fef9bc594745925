"""How the documents are built: `tox -e docs`."""

project = "Evacuator"
author = "The Evacuator contributors"
copyright = "The Evacuator contributors"

extensions = ["myst_parser", "oslo_config.sphinxext", "oslo_policy.sphinxext", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Evacuator"
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
nitpicky = True
