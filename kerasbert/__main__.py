"""`python -m kerasbert`: the command `kerasbert`."""

import os
import sys

if not __package__:  # started as a file, by a program of several workers that starts itself again
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from kerasbert.command import main

if __name__ == "__main__":
    main()
