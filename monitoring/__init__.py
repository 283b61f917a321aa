"""Capture files → aggregates → drift reports and CloudWatch metrics. The subpackages are the stages of the data, in order.

=================  =====================================================================
ingest/            capture files → records and predictions as arrays
aggregates/        counts, sums and histograms of an hour, which add up exactly
storage/           folders and buckets; what one run stores for the next
incremental/       one run: new files, read once, added to the stored aggregates
drift/             windows of captures compared with a reference
quality/           captures joined with ground truth; precision estimated from reviews (audit)
report/            the figures and images that the pages show
cloudwatch/        metrics to CloudWatch; dashboards and usage read back
=================  =====================================================================

`function` does it every hour in Lambda; `athena` writes the aggregation as SQL.
"""
