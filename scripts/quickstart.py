"""Does the whole job on text that is already here: vocabulary to answers in minutes."""

from kerasbert import cli
from kerasbert.recipes.quickstart import QuickstartOptions, quickstart

if __name__ == "__main__":
    cli.run(QuickstartOptions, quickstart)
