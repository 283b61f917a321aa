"""What decides if nobody says otherwise: the template's defaults (a test holds them against it)."""

THRESHOLD = 0.93  # confidence from which on a picture counts as classified
FAMILIARITY_THRESHOLD = 0.01  # familiarity below which it is taken for none of the classes
