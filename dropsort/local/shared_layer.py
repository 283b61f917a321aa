"""Makes the functions quick to start here: their libraries are unpacked once, not once for every worker.

The embedded AWS unpacks the layer again for each of up to 24 workers, 900 files apiece, and each would compile every
module again. So the layer that is deployed here has a single file, which puts the folder with the unpacked zip first
on the path, where Lambda has the layer too. The zip is the one that was built, and the code is not touched.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from dropsort.deployment.package import HEIC, MONITORING, SERVICE, Packages

PARTS = (SERVICE, HEIC, MONITORING)
# Lambda, too, treats this folder of a layer as a site directory, whose *.pth files are read, in the order of their names.
_POINTER = "python/lib/python{}.{}/site-packages/{}.pth"


def share(packages: Packages, out: Path) -> Packages:
    """The same packages, with libraries that workers share; what is made for that stays in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    layers = {part.libraries_parameter for part in PARTS} & packages.archives.keys()
    shared = {parameter: _layer(packages.archives[parameter], out.resolve()) for parameter in layers}
    return Packages({**packages.archives, **shared})


def _layer(archive: Path, out: Path) -> Path:
    folder = _unpacked(archive, out / archive.stem)
    line = f"import sys; sys.path.insert(0, {str(folder / 'python')!r})\n"
    digest = hashlib.sha256(line.encode()).hexdigest()[:16]
    layer = out / f"{archive.stem}-shared-{digest}.zip"
    if not layer.exists():
        handle, temporary = tempfile.mkstemp(dir=out, prefix=".sharing-")
        os.close(handle)
        with zipfile.ZipFile(temporary, "w") as content:
            content.writestr(_POINTER.format(*sys.version_info[:2], archive.stem), line)
        os.replace(temporary, layer)
    return layer


def _unpacked(archive: Path, folder: Path) -> Path:
    if not folder.is_dir():
        building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(building)
            compileall.compile_dir(building, quiet=2, stripdir=str(building), prependdir=str(folder))
            building.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not faster, so something is wrong
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return folder
