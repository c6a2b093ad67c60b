"""What the command's exit codes mean. Click's own errors of usage are 2 as well."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One number for each reaction of a script."""

    DONE = 0
    FAILED = 1
    """The training did not complete, or something unexpected happened."""
    BAD_INPUT = 2
    """The file or an option has to be changed."""
    INTERRUPTED = 130
