"""The baseline of ``benchmarks.pipeline``: three functions and a workflow, after the Scones Unlimited notebooks' description.

The modules ``serialize``, ``classify`` and ``filter`` are what its functions run, each a file of its own, with nothing but boto3; the rest
of the bench never imports them.
"""
