"""Bad input, each with one sentence for a message: what is wrong and the remedy."""

STARTS_ANEW = "interrupted: the same command starts anew"  # said where nothing is kept


class UsageError(ValueError):
    """An argument of the command line that cannot mean anything here."""


class RecordError(ValueError):
    """A record that cannot be read; the message names the file."""
