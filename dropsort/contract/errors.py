"""The root of every exception that Dropsort raises for a person to act on.

Each package has one subclass of `DropsortError`, and below it one for each kind that a caller distinguishes::

    DropsortError
    ├── ClientError       dropsort.client       a running service cannot be used as requested
    ├── DeploymentError   dropsort.deployment   packaging, deploying or deleting a stack failed
    ├── LocalError        dropsort.local        the service on this machine cannot be started or used
    ├── MonitoringError   monitoring            capture files, references or reports
    ├── StackError        dropsort.contract     a stack, or its endpoint, did not reach the wanted state
    └── TrainingError     training              images, models and their roll-out
"""

from __future__ import annotations


class DropsortError(Exception):
    """Something a person can put right: the message names what was wrong with which file or value, and what to do."""


class StackError(DropsortError):
    """A CloudFormation stack, or the endpoint in it, did not reach the wanted state, or not in time."""
