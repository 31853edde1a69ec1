"""Model + file -> file of answers."""

import itertools
import json
import os
import pathlib

from kerasbert import zoo
from kerasbert.data.columns import write_columns
from kerasbert.data.squad import write_predictions
from kerasbert.errors import InputError
from kerasbert.recipes.jobs import Job, job_of
from kerasbert.recipes.options import PredictOptions
from kerasbert.recipes.raw_examples import CONLL, raw_examples
from kerasbert.tasks import Task
from kerasbert.training.progress import Bar


def predict(options: PredictOptions) -> dict:
    """Answers all examples of a file, in their order; goes on where it was cut off."""
    model = zoo.load_task(options.model, Task)
    work = job_of(model)
    output = pathlib.Path(options.output)
    if output.exists():
        raise InputError(f"{output} exists already; choose another --output or remove it")
    if output.suffix not in (".jsonl", ".json", CONLL):
        raise InputError(f"--output must end in .jsonl, .json or {CONLL}, found {output.name}")
    part = output.with_name(f"{output.name}.part")
    done = _whole_lines(part)
    examples = itertools.islice(raw_examples(options.input, model, options.text_column), done, None)
    bar = Bar("predict", None, "example")
    bar.update(done)
    try:
        with open(part, "a", encoding="utf-8") as file:
            while batch := list(itertools.islice(examples, options.batch_size)):
                for line in _answers(work, model, batch):
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                bar.update(len(batch))
    except OSError as error:
        raise InputError(f"{part} can't be written: {error.strerror}") from None
    finally:
        bar.close()
    _finish(part, output)
    return {"output": str(output), "examples": bar.n, "found_done": done}


def _whole_lines(path: pathlib.Path) -> int:
    """How many lines an earlier run has written; half a line at the end is cut off."""
    if not path.exists():
        return 0
    with open(path, "r+b") as file:
        count = end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, end = count + 1, end + len(line)
        file.truncate(end)
    return count


# === Answers ===


def _answers(work: Job, model: Task, batch: list[dict]) -> list[dict]:
    columns = {key: [example[key] for example in batch] for key in batch[0] if key != "id"}
    return [
        {**({"id": example["id"]} if "id" in example else {}), **answer}
        for example, answer in zip(batch, work.answer(model, columns), strict=True)
    ]


def _finish(part: pathlib.Path, output: pathlib.Path) -> None:
    """Puts the answers in their final form and place."""
    if output.suffix == ".jsonl":
        os.replace(part, output)
        return
    with open(part, encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    needed = ("words", "labels") if output.suffix == CONLL else ("id", "answer")
    if any(key not in answer for answer in answers for key in needed):
        raise InputError(f"{output}: answers of this task on this file can only be .jsonl")
    columns = ([answer[key] for answer in answers] for key in needed)
    (write_columns if output.suffix == CONLL else write_predictions)(output, *columns)
    part.unlink()
