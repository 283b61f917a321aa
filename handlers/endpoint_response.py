"""The endpoint's response as a prediction that fits the workflow's state; `dropsort.contract.predictions` has the forms that are read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dropsort.contract.predictions import InvalidPrediction, Prediction, normalise
from handlers.rejections import Rejection

# As JSON; a thousand classes with their names are half of it. It is part of the workflow's state with the image
# (`handlers.imaging.MAX_IMAGE_BYTES`): at most 262,144 bytes, the Step Functions payload limit.
MAX_PREDICTION_BYTES = 96 * 1024


def parse(body: bytes, labels: Sequence[str] = ()) -> Prediction:
    """Read an endpoint's response.

    Parameters
    ----------
    labels
        Labels by class index, for a response without any; without them the index is the label.

    Raises
    ------
    Rejection
        ``invalid_prediction``: no class probabilities, too large, or labels that do not fit.
    """
    try:
        prediction = normalise(body, labels)
    except InvalidPrediction as error:
        raise Rejection("invalid_prediction", str(error)) from error
    count = len(prediction.probabilities)
    if len(json.dumps((prediction.probabilities, prediction.labels))) > MAX_PREDICTION_BYTES:
        raise Rejection(
            "invalid_prediction",
            f"{count} probabilities and their labels do not fit the Step Functions payload limit.",
        )
    return prediction
