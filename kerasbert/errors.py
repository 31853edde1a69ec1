"""The one exception that means: what the user gave is wrong."""


class InputError(ValueError):
    """Bad input: a file, a line, a key, an option.

    The message is one line that names the place, what was found and what to do. Programs in
    `scripts/` print it and exit with status 1; anything else that is raised is a bug and keeps
    its traceback.
    """
