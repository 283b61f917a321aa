"""Image formats that are read: one list for workflow, endpoint, training and evaluation, by Pillow's names.

No format whose decoder calls another program or follows references to other files is among them.
"""

from __future__ import annotations

# Read by Pillow alone.
PILLOW = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "PPM")
# Read by Pillow with the plugin pillow-heif.
WITH_PLUGIN = ("HEIF",)
ALL = PILLOW + WITH_PLUGIN
