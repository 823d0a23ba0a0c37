"""Pictures of a run."""

import importlib.util
import os

# Backends of notebooks by the modules that they come with.
NOTEBOOKS = {"inline": "matplotlib_inline", "widget": "ipympl", "ipympl": "ipympl"}


def _forget_missing_backend() -> None:
    """Drop a notebook's MPLBACKEND that is not installed here: matplotlib would not load."""
    backend = os.environ.get("MPLBACKEND", "")
    module = NOTEBOOKS.get(backend) or backend.removeprefix("module://").partition(".")[0]
    theirs = backend in NOTEBOOKS or module not in ("", backend)
    if theirs and importlib.util.find_spec(module) is None:
        del os.environ["MPLBACKEND"]


_forget_missing_backend()
