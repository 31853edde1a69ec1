"""Runs guides and writes their pages.

    python docs/_site/guides.py [NAME ...]        # all of them by default; as `make guides`

A guide is a script, docs/guides/NAME.py, in jupytext's percent format. Its page is NAME.md, with
its text, its code, what it printed, and its pictures, NAME/*.png. What it writes to stderr is shown
here, and is not on the page. A cell with a figure describes it for those who cannot see it:
`# %% picture="F1 of each entity type"`. Needs the extra `guides`.
"""

import base64
import datetime
import io
import itertools
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

import jupytext
import nbclient
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
sys.path.insert(0, str(ROOT))

from kerasbert import __version__, machine  # noqa: E402

#: Colors of a picture, and its largest size in bytes: pages are read on phones, too.
COLORS, LARGEST = 128, 60_000


def main(names: list[str]) -> None:
    """Writes the pages of the given guides, or of all."""
    for name in names or sorted(path.stem for path in GUIDES.glob("*.py")):
        script = GUIDES / f"{name}.py"
        print(f"{name} ...", flush=True)
        notebook, seconds = run(script)
        write(script, notebook, seconds)
        print(f"{name}: {seconds:.0f} s", flush=True)


def run(script: pathlib.Path) -> tuple:
    """Runs a guide in a temporary directory; returns it with its outputs, and the seconds."""
    notebook = jupytext.read(script)
    os.environ.pop("KERASBERT_GUIDE", None)  # the long form
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as directory:
        place = {"metadata": {"path": directory}}
        client = nbclient.NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources=place
        )
        start = time.monotonic()
        client.execute()
        return notebook, time.monotonic() - start


def write(script: pathlib.Path, notebook, seconds: float) -> None:
    """Writes the page of a guide that ran, and its pictures."""
    pictures = script.with_suffix("")
    shutil.rmtree(pictures, ignore_errors=True)
    first, *others = notebook.cells
    title, _, text = first.source.partition("\n")
    parts = [title, _note(script, seconds), text.strip()]
    numbers = itertools.count(1)
    for cell in others:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source:
            parts.append(f"```python\n{cell.source}\n```")
            parts += _outputs(cell, pictures, numbers)
    script.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _note(script: pathlib.Path, seconds: float) -> str:
    """Returns the line under the title: where the page's numbers are from."""
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    taken = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.1f} minutes"
    return (
        f"<small>Made by running [{script.name}]({script.name}) with kerasbert {__version__}, in "
        f"{taken} on {machine.available_cores()} cores ({machine.processor()}), {today}; "
        "[how to run it](index.md#run-a-guide)</small>"
    )


def _outputs(cell, pictures: pathlib.Path, numbers) -> list[str]:
    """Returns the outputs of a cell as Markdown; writes its pictures."""
    parts, printed = [], ""
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stdout":
                printed += output.text
            else:
                sys.stderr.write(output.text)
            continue
        if printed:
            parts, printed = [*parts, _text(printed)], ""
        if "image/png" in output.data:
            number = next(numbers)
            _save(output.data["image/png"], pictures / f"{number}.png")
            parts.append(f"![{cell.metadata['picture']}]({pictures.name}/{number}.png)")
        else:
            parts.append(_text(output.data["text/plain"]))
    return [*parts, _text(printed)] if printed else parts


def _text(output: str) -> str:
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    return "\n".join(["```text", *lines, "```"])


def _save(png: str, path: pathlib.Path) -> None:
    """Writes a picture with few colors, which is a third of its size."""
    path.parent.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    if (size := path.stat().st_size) > LARGEST:
        raise SystemExit(f"error: {path} has {size} bytes, more than {LARGEST}; make it smaller")


if __name__ == "__main__":
    main([re.sub(r"\.py$", "", os.path.basename(name)) for name in sys.argv[1:]])
