"""No task specs: `ReplacedTokenDetector` is used from Python, and no program supports it."""

SPECS = ()
