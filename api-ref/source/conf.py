"""How the API reference is built: `tox -e api-ref`."""

project = "Evacuator API reference"
author = "The Evacuator contributors"
copyright = "The Evacuator contributors"

extensions = ["openstackdocstheme", "os_api_ref"]
html_theme = "openstackdocs"
html_title = "Evacuator API reference"
html_theme_options = {"sidebar_mode": "toc", "display_badge": False}
openstackdocs_auto_name = False

# What the reader may choose from, to see only what holds at one microversion.
os_api_ref_min_microversion = "2.1"
os_api_ref_max_microversion = "2.95"
