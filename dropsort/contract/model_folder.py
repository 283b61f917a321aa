"""The files of a model folder: training writes them; deployment, registry, service and the endpoint's container read them.

The reference of drift detection lies there too: `dropsort.contract.reference`.
"""

from __future__ import annotations

GRAPH = "model.onnx"  # with 8-bit weights
UNFINISHED_GRAPH = f"{GRAPH}.part"
LABELS = "labels.json"  # a list, in the order of the classes
METRICS = "metrics.json"  # figures: thresholds, version, accuracy
CARD = "card.md"
NEEDED = (GRAPH, LABELS)  # without which there is no model
ARCHIVE = "model.tar.gz"  # of the folder, for SageMaker
