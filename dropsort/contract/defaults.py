"""Defaults that hold if nobody sets a value: of the functions, the commands and the training script; then limits that nobody sets.

The template repeats those that are its parameters, because a template cannot import; a test holds them equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

STACK = "dropsort"
THRESHOLD = 0.93  # confidence from which an image is classified, 0 to 1
FAMILIARITY_THRESHOLD = 0.01  # familiarity below which a prediction is not trusted, 0 to 1
PRECISION = 0.99  # of what is classified, that thresholds are chosen for
IMAGE_SIDE = 256  # longest side in pixels of the image in the workflow's state
MAX_OBJECT_MEGABYTES = 100  # units of 1,000,000 bytes
MAX_MEGAPIXELS = 100  # units of 1,000,000 pixels
ENDPOINT_ACCEPT = "application/json;verbose=true"
INVOCATION_TIMEOUT_SECONDS = 10  # that the endpoint has for one image
WORKFLOW_TYPE = "EXPRESS"
BACKLOG_CONCURRENCY = 40  # executions of a run of the backlog at the same time
PATIENCE_SECONDS = 120.0  # without a result, after which a command stops to wait for more
# Of IgnoredPatterns, in which commas separate them (dropsort.contract.ignored_paths).
IGNORED_PATTERNS = (
    "._*", ".DS_Store", ".localized", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems",
    ".DocumentRevisions-V100", ".VolumeIcon.icns", ".apdisk", "__MACOSX", "Icon[!0-9A-Za-z]", "*.sb-????????-??????",  # macOS
    "Thumbs.db", "ehthumbs*.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information", "~$*",  # Windows and Office
    ".directory", ".Trash-*", ".nfs*", ".fuse_hidden*", "lost+found", ".~lock.*#",  # Linux
    "@eaDir", "#recycle", ".@__thumb", "@Recycle", ".stfolder", ".stversions", ".dropbox.cache",  # network storage
    "*.tmp", "*.temp", "*.part", "*.partial", "*.crdownload", "*.opdownload", "*.download", "*.filepart", "*.aria2", "*.!ut",
    "*.!qB", ".~tmp~", ".tmp.driveupload", ".tmp.drivedownload",  # downloads and transfers
    ".git", ".svn", ".gitkeep", ".gitignore", ".picasa.ini",
)  # fmt: skip

LONGEST_EXECUTION = timedelta(minutes=10)  # of the workflow for one upload, with the delivery of its event
CLOCK_DIFFERENCE = timedelta(seconds=60)  # at most, between the clocks of S3 and of the functions
# Of an image that is made small to be shown, or measured; a larger one is left out
MAX_SHOWN_PIXELS = 50_000_000

# Template parameter by the member of a model's metrics.json that sets it when the model is deployed.
MODEL_PARAMETERS = {
    "threshold": "Threshold",
    "familiarity_threshold": "FamiliarityThreshold",
    "wanted_precision": "Precision",
}


def version_parameter(figures: Mapping[str, object]) -> dict[str, str]:
    """The template parameter for the version in a model's figures; empty if there is none, so that no former one stays.

    Examples
    --------
    >>> version_parameter({"model": "bikes-1.0.0"})
    {'ModelVersion': 'bikes-1.0.0'}
    """
    version = figures.get("model")
    usable = isinstance(version, str) and version.isascii() and version.isprintable() and len(version) <= 256
    return {"ModelVersion": str(version) if usable else ""}


def threshold_parameters(figures: Mapping[str, object]) -> dict[str, str]:
    """Template parameters for the thresholds in a model's figures, without rounding; those missing are left out.

    Examples
    --------
    >>> threshold_parameters({"threshold": 0.87, "accuracy": 0.97})
    {'Threshold': '0.87'}
    """
    return {
        parameter: repr(float(value))
        for name, parameter in MODEL_PARAMETERS.items()
        if isinstance(value := figures.get(name), int | float)
    }
