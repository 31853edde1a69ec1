"""The one exception that means: what the user gave is wrong."""


class InputError(ValueError):
    """Bad input: a file, a line, a key, an option.

    The message is one line that names the place, what was found and what to do. Programs in
    `scripts/` print it and exit with status 1; anything else that is raised is a bug and keeps
    its traceback.
    """


class Interrupted(Exception):  # noqa: N818  nothing went wrong
    """A run stopped because a signal asked it to; the message says how to go on.

    Args:
        message: one line.
        signal: the signal's number; programs exit with 128 more, as shells do.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
