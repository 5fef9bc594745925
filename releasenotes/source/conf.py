"""How the release notes are built: `tox -e releasenotes`."""

project = "Evacuator release notes"
author = "The Evacuator contributors"
copyright = "The Evacuator contributors"

extensions = ["reno.sphinxext"]
html_theme = "furo"
html_title = "Evacuator release notes"
