"""The HTML pages of report, dashboard and evaluation: data of `monitoring` and `training` in, pages and PNGs out."""
