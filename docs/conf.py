"""Sphinx settings. Build with `./run docs`, or `./run docs --theme mozilla`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from heka_raven import __version__

project = "heka-raven"
author = "the heka-raven project"
copyright = "the heka-raven project"
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon", "sphinx_copybutton"]
copybutton_exclude = ".linenos, .gp, .go"  # neither prompts nor what a program answered
exclude_patterns = ["_build"]
root_doc = "index"
html_title = "heka-raven"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["tables.css", "tabs.css"]
html_js_files = ["tabs.js"]

if os.environ.get("DOCS_THEME") == "mozilla":
    # As the theme's own instructions say: its path and its name, and no pygments_style.
    import mozilla_sphinx_theme

    html_theme_path = [os.path.dirname(mozilla_sphinx_theme.__file__)]
    html_theme = "mozilla"
    html_css_files.append("beside_the_sidebar.css")
else:
    pygments_style = "friendly"
    pygments_dark_style = "monokai"
    html_theme = "furo"
