"""How to run pip: the environment's own, or the one that comes with Python (environments of uv have none)."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path

from dropsort.contract.errors import DropsortError


def command() -> list[str]:
    """Program and first arguments that run pip with this interpreter.

    Raises
    ------
    DropsortError
        There is no pip, neither in the environment nor with Python; the message says how to get one.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    bundled = importlib.util.find_spec("ensurepip")
    if bundled is not None and bundled.origin is not None:
        # Debian's and Fedora's Python have it in a folder of the system.
        folder = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(bundled.origin).parent / "_bundled"
        wheels = sorted(Path(folder).glob("pip-*.whl"))
        if wheels:
            return [sys.executable, str(wheels[-1] / "pip")]  # a wheel is a zip file, which Python can run
    raise DropsortError(
        f"{sys.executable} has no pip, which installs the functions' libraries, the embedded AWS and a model's packages: "
        "install it there (`uv pip install pip`, `uv tool install --with pip dropsort`, or the system's python3-venv)."
    )
