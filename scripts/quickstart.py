"""Does the whole job on text that is already here: vocabulary to answers in minutes.

Example:
  python scripts/quickstart.py --output runs/quickstart
"""

from kerasbert import cli
from kerasbert.recipes.options import QuickstartOptions

if __name__ == "__main__":
    cli.run("quickstart", QuickstartOptions)
