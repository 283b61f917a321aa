"""Any image in, a small upright RGB image out: bytes to bytes, no AWS. docs/reference/images.md lists what is read and how.

`sniffing` names the format, `foreign` what the bytes are instead; a module for each format checks that its data is whole, and `limits` that
decoding stays within memory and time; `decoding` decodes, with `jpeg_pixels` and `png_pixels`; `values`, `colour` and `orientation` make
what a browser would show; `normalise` puts it together.
"""

from handlers.imaging.normalise import MAX_IMAGE_BYTES, Normalised, prepare

__all__ = ["MAX_IMAGE_BYTES", "Normalised", "prepare"]
