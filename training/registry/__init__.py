"""The model registry on SageMaker: versions, their approval and their roll-out."""
