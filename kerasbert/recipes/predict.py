"""Predicting the examples of a file."""

import contextlib
import csv
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO, TypedDict

import numpy as np

from kerasbert import files, loading, schema
from kerasbert.data.options import ColumnOptions
from kerasbert.errors import InputError, Interrupted
from kerasbert.recipes.data_format import with_columns_of
from kerasbert.recipes.options import PredictOptions
from kerasbert.recipes.raw_examples import options_read, raw_examples
from kerasbert.tasks.registry import get_specs, spec_of
from kerasbert.tasks.spec import ID, ROW, TaskSpec
from kerasbert.tasks.task import Task
from kerasbert.training.progress import ProgressBar

_CSV, _JSON_LINES = ".csv", ".jsonl"


def predict(options: PredictOptions) -> dict[str, Any]:
    """Predicts all examples of a file in order; resumes an interrupted run.

    Predictions are collected in a file next to the output, whose name ends in `.part`. Its first
    line describes the run: only the same input, model and options resume it, and lines that are
    damaged are predicted again. The output is locked meanwhile. If input or options are invalid,
    nothing is left behind; if the input can't be read meanwhile, the predictions so far are.
    """
    files.refuse_existing(options.output)
    output = pathlib.Path(options.output)
    known = [
        _JSON_LINES,
        _CSV,
        *dict.fromkeys(end for spec in get_specs() for end in spec.output_formats),
    ]
    if output.suffix not in known:
        *ends, last = known
        raise InputError(f"--output must end in {', '.join(ends)} or {last}, found {output.name}")
    _check_columns(options)
    files.check_file(options.input)  # because it is read more than once
    with files.locked(output):
        files.refuse_existing(output)
        return _predict(options, output)


def _predict(options: PredictOptions, output: pathlib.Path) -> dict:
    model = loading.load_task(options.model, Task, **options.overrides)
    spec = spec_of(model)
    options = with_columns_of(model, options, spec, options.input, labels=False)
    total = _validate_inputs(raw_examples(options.input, model, spec, options), spec, options)
    part = output.with_name(f"{output.name}.part")
    made_of = _made_of(model, options)
    done = _begun(part, made_of, total, options.batch_size)
    with _kept_if_cut_off(part):
        again = _unless_changed(raw_examples(options.input, model, spec, options), made_of)
        examples = itertools.islice(again, done, None)
        with contextlib.closing(ProgressBar("predict", total, "example")) as bar:
            bar.update(done)
            with open(part, "a", encoding="utf-8") as file:
                while batch := list(itertools.islice(examples, options.batch_size)):
                    for line in _answers(spec, model, batch, options):
                        file.write(_sealed(files.to_json(line)))
                    file.flush()
                    bar.update(len(batch))
        _check_unchanged(made_of)
    _finish(spec, part, output, total)
    return {"output": str(output), "examples": total, "found_done": done}


def _check_columns(options: PredictOptions) -> None:
    """Raises `InputError` if an option is given that such a file does not support."""
    read = options_read(options.input)
    for field in dataclasses.fields(ColumnOptions):
        if getattr(options, field.name) is not None and field.name not in read:
            known = f"; such a file supports --{' and --'.join(read)}" if read else ""
            raise InputError(f"--{field.name} is not supported for {options.input}{known}")


def _validate_inputs(examples: Iterator[dict], spec: TaskSpec, options: PredictOptions) -> int:
    """Reads all examples before the first is predicted, and returns their number.

    Raises:
        InputError: an example is invalid, or the output's format cannot store its answer.
    """
    suffix = pathlib.Path(options.output).suffix
    check = _checker(suffix, spec)
    count = 0
    for example in examples:
        count += 1
        if fault := check(example):
            row = example[ROW]
            raise InputError(f"{options.input}: row {row} {fault}; --output {_JSON_LINES} can")
    if not count:
        raise InputError(f"{options.input}: has no examples")
    return count


def _checker(suffix: str, spec: TaskSpec) -> Callable[[dict], str | None]:
    """Returns a function from an example to why the output's format cannot store its answer.

    Raises:
        InputError: the task does not support this output format.
    """
    if suffix in (_CSV, _JSON_LINES):
        return lambda example: None
    if suffix in spec.output_formats:
        return spec.output_formats[suffix].checker()
    wanted = [other.task.__name__ for other in get_specs() if suffix in other.output_formats]
    raise InputError(f"--output: {suffix} is for a {' or a '.join(wanted)}; use {_JSON_LINES}")


class _FinalError(InputError):
    """An error that the same command would raise again, or that makes the answers worthless."""


def _answers(
    spec: TaskSpec, model: Task, batch: list[dict], options: PredictOptions
) -> Iterator[dict]:
    names = [key for key in batch[0] if key not in (ROW, ID)]
    columns = {name: [example[name] for example in batch] for name in names}
    try:
        answers = spec.answers(model, columns)
    except InputError as error:
        for example in batch if len(batch) > 1 else ():
            list(_answers(spec, model, [example], options))  # raises for the invalid one
        raise _FinalError(f"{options.input}: row {batch[0][ROW]}: {error}") from None
    for example, answer in zip(batch, answers, strict=True):
        shown = {k: v for k, v in example.items() if options.include_text or k in (ROW, ID)}
        yield {**shown, **answer}


# === Resuming ===


class _MadeOf(TypedDict):
    """Everything that determines the predictions; names are for messages."""

    input: str
    input_sha256: str
    model: str
    model_sha256: str
    options: dict[str, Any]


def _made_of(model: Task, options: PredictOptions) -> _MadeOf:
    columns = [field.name for field in dataclasses.fields(ColumnOptions)]
    return {
        "input": options.input,
        "input_sha256": files.sha256(options.input),
        "model": options.model,
        "model_sha256": _sha256_of(model),
        "options": {name: getattr(options, name) for name in (*columns, "include_text")},
    }


def _sha256_of(model: Task) -> str:
    """Returns the SHA-256 of everything that a model's predictions depend on."""
    tokenizer = model.tokenizer
    assert tokenizer is not None  # it has read the input
    identity = {
        "task": type(model).__name__,
        "head": model.head_config(),
        "sequence_length": model.sequence_length,
        "backbone": dataclasses.asdict(model.backbone.config),
        "tokenizer": tokenizer.get_config(),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode())
    for name, content in sorted(tokenizer.assets().items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    for variable in model.weights:
        array = np.asarray(variable)
        digest.update(f"{variable.path} {array.shape} {array.dtype} ".encode() + array.tobytes())
    return digest.hexdigest()


def _begun(part: pathlib.Path, made_of: _MadeOf, total: int, batch_size: int) -> int:
    """Returns the number of predictions of an earlier run that are kept; truncates the others.

    Only whole batches are kept: in another batch, numbers may differ in their last digits.

    Raises:
        InputError: the earlier run had other settings.
    """
    files.check_file(part)
    first = _sealed(files.to_json(made_of)).encode()
    with files.writing(part):
        with open(part, "a+b") as file:
            file.seek(0)
            first_line = file.readline()
        ends = [end for _, end in itertools.islice(_whole_answers(part), total)]
        stored = _unsealed(first_line)
        # Nothing was predicted yet, or even the first line is incomplete.
        if not ends and (stored is not None or first.startswith(first_line)):
            part.write_bytes(first)
            return 0
    if stored is None:
        raise InputError(f"{part}: the line that describes its run is damaged; remove the file")
    stored = schema.parse(stored, part, _MadeOf)
    if different := list(_differences(stored, made_of)):
        raise InputError(
            f"{part}: holds {len(ends)} answers of another run ({'; '.join(different)}); repeat "
            "that run, or remove the file"
        )
    done = len(ends) - len(ends) % batch_size
    with files.writing(part):
        os.truncate(part, ends[done - 1] if done else len(first_line))
    return done


def _differences(stored: Mapping[str, Any], made_of: Mapping[str, Any]) -> Iterator[str]:
    for name in ("input", "model"):
        if stored[f"{name}_sha256"] != made_of[f"{name}_sha256"]:
            same = stored[name] == made_of[name]
            yield f"{stored[name]} has changed" if same else f"--{name} was {stored[name]}"
    for name, value in made_of["options"].items():
        if value != (before := stored["options"].get(name)):
            yield f"--{name} was {before!r}, now it is {value!r}"


def _sealed(text: str) -> str:
    """Returns a line of the partial file: a checksum and the text."""
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _unsealed(line: bytes) -> str | None:
    """Returns the text of such a line; None if it is damaged."""
    checksum, _, text = line.partition(b" ")
    text, ends = text[:-1], text.endswith(b"\n")
    return text.decode() if ends and checksum == b"%08x" % zlib.crc32(text) else None


def _whole_answers(part: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Yields the predictions up to the first damaged one, each with its end offset."""
    with open(part, "rb") as file:
        end = len(file.readline())
        for row, line in enumerate(file, start=1):
            text = _unsealed(line)
            if text is None or not text.startswith(f'{{"{ROW}": {row},'):
                return
            end += len(line)
            yield text, end


def _check_unchanged(made_of: _MadeOf) -> None:
    """Raises `_FinalError` if the input has changed, and `InputError` if it can't be read now."""
    path = made_of["input"]
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    if digest != made_of["input_sha256"]:
        raise _FinalError(f"{path}: changed during the run; start again")


def _unless_changed(examples: Iterator[dict], made_of: _MadeOf) -> Iterator[dict]:
    """Yields examples that were all valid when they were first read."""
    try:
        yield from examples
    except InputError:
        _check_unchanged(made_of)
        raise


@contextlib.contextmanager
def _kept_if_cut_off(part: pathlib.Path) -> Iterator[None]:
    """Context that removes the partial file unless the same command can resume from it."""
    kept = f"the answers so far are kept in {part}, and the same command resumes there"
    try:
        yield
    except OSError as error:  # a full disk, say
        raise InputError(f"{part} can't be written: {error.strerror or error}") from None
    except KeyboardInterrupt:
        if not any(_whole_answers(part)):
            raise
        raise Interrupted(f"stopped; {kept}", signal.SIGINT) from None
    except _FinalError:
        part.unlink(missing_ok=True)
        raise
    except InputError as error:  # the input can't be read, perhaps only now
        if not any(_whole_answers(part)):
            raise
        raise InputError(f"{error}; {kept}") from None
    finally:
        if part.exists() and not any(_whole_answers(part)):
            part.unlink()


# === The output ===


def _finish(spec: TaskSpec, part: pathlib.Path, output: pathlib.Path, total: int) -> None:
    """Writes the predictions in their final format."""
    if output.suffix in spec.output_formats:
        spec.output_formats[output.suffix].write(output, _read(part, total))
    else:
        write = _write_csv if output.suffix == _CSV else _write_json_lines
        with (
            files.new_file(output) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            write(file, part, total)
    part.unlink()


def _lines(part: pathlib.Path, total: int) -> Iterator[str]:
    """Yields all predictions as JSON."""
    count = 0
    for text, _ in _whole_answers(part):
        count += 1
        yield text
    if count != total:
        raise InputError(f"{part}: answer {count + 1} is damaged; the same command resumes there")


def _read(part: pathlib.Path, total: int) -> Iterator[dict]:
    return map(json.loads, _lines(part, total))


def _write_json_lines(file: TextIO, part: pathlib.Path, total: int) -> None:
    file.writelines(f"{line}\n" for line in _lines(part, total))


def _write_csv(file: TextIO, part: pathlib.Path, total: int) -> None:
    names = dict.fromkeys(name for answer in _read(part, total) for name in _flat(answer))
    writer = csv.DictWriter(_Rows(file), list(names), lineterminator=_Rows.END)
    writer.writeheader()
    writer.writerows(map(_flat, _read(part, total)))


class _Rows:
    """Receives rows from a `csv.writer`, and writes them with "\\n" at their ends.

    The writer quotes cells with a character of its own line end. If that is "\\n", Python 3.11 and
    3.12 do not quote "\\r", which readers take for the end of a row.
    """

    END = "\r\n"

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, row: str) -> None:
        self.file.write(row.removesuffix(self.END) + "\n")


def _flat(answer: dict) -> dict:
    """Flattens a prediction to cells: numbers of a dict get a column each, lists become JSON."""
    cells = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            cells |= {f"{name}.{part}": number for part, number in value.items()}
        else:
            cells[name] = files.to_json(value) if isinstance(value, list) else value
    return cells
