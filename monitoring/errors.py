"""What monitoring refuses, in one class, so that the command line can say it in one line."""


class MonitoringError(Exception):
    """Something a person can put right: the message names the file, what was wrong and what to do."""
