"""Metrics to CloudWatch, and CloudWatch's dashboards and metric math read back."""
