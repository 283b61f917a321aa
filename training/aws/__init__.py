"""SageMaker's and CloudFormation's requests: built, checked against their own models, sent."""
