"""What is said about a mistyped command line: what was probably meant."""

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence

from kerasbert import options as declared
from kerasbert import suggestions

#: What the parser of absl says, and what the programs say.
_ABSL = (
    (r"Missing value for flag (\S+)", r"\1 has no value"),
    (r"flag --(\w+)=(.*?): .*Non-boolean", r"--\1 must be true or false, found '\2'"),
    (r"(\S+) does not take an argument", r"\1 takes no value"),
    (r"ERROR:: Unable to open flagfile: \[Errno \d+\] (.*)", r"--flagfile: \1"),
)
#: What commands are called elsewhere.
COMMANDS_ELSEWHERE = {
    "train": ("finetune", "pretrain", "distill"),
    "fit": ("finetune",),
    "eval": ("evaluate",),
    "test": ("evaluate",),
    "score": ("evaluate",),
    "infer": ("predict",),
    "inference": ("predict",),
    "classify": ("predict",),
    "vocab": ("build_vocab",),
    "tokenize": ("prepare_corpus",),
    "quantize": ("export",),
    "push": ("upload",),
    "models": ("presets",),
    "list": ("presets",),
    "info": ("doctor",),
    "version": ("--version",),
}
_MOST_COMMANDS = 4  # that a message names


def unknown_command(name: str, programs: Mapping[str, type[declared.Options]]) -> str:
    """Returns the message for a command that there is not.

    Args:
        name: string, what was typed.
        programs: the options class of every program, by its name.
    """
    near = COMMANDS_ELSEWHERE.get(name) or suggestions.nearest(name, programs)
    hint = suggestions.did_you_mean([f"kerasbert {each}" for each in near])
    return f"there is no command {name!r}; {hint and f'{hint} '}kerasbert --help lists the commands"


def from_absl(message: str) -> str:
    """Returns a message of absl's parser in our words."""
    for pattern, ours in _ABSL:
        if match := re.match(pattern, message, re.DOTALL):
            return match.expand(ours)
    return " ".join(message.split())


def unknown_flag(name: str, options_class: type[declared.Options]) -> str:
    """Returns the message for a flag that a program does not have.

    Args:
        name: string, the flag without dashes.
        options_class: the options of the program.
    """
    if name == "help":
        return "--help takes no value"
    fields = dataclasses.fields(options_class)
    synonyms = {other: field.name for field in fields for other in field.metadata["elsewhere"]}
    names = {**synonyms, **{field.name: field.name for field in fields}}
    found = _negated(name, fields) or _exact(name, names)
    others = "" if found else _commands_with(name, options_class)
    if not found and not others:
        found = "".join(suggestions.nearest(name, [*names.values(), "help"], synonyms))
    hint = f"it is a flag of {others}; " if others else ""
    if found:
        hint = f"{suggestions.did_you_mean([f'--{found}'])} "
    return f"there is no flag --{name}; {hint}--help lists the flags"


def _exact(name: str, names: Mapping[str, str]) -> str | None:
    """Returns the flag that is spelled like this, but for dashes and capitals."""
    return {suggestions.spelled(each): ours for each, ours in names.items()}.get(
        suggestions.spelled(name)
    )


def _negated(name: str, fields: Sequence[dataclasses.Field]) -> str:
    """Returns the flag that turns an option off, for one like `no-strict`."""
    bools = {suggestions.spelled(field.name): field.name for field in fields if _is_bool(field)}
    spelled = suggestions.spelled(name)
    found = bools.get(spelled.removeprefix("no")) if spelled.startswith("no") else None
    return f"no{found}" if found else ""


def _is_bool(field: dataclasses.Field) -> bool:
    return field.type is bool


def _commands_with(name: str, options_class: type[declared.Options]) -> str:
    """Returns the commands that have a flag, of those that are defined beside a program's."""
    package = options_class.__module__.partition(".options")[0] + ".options"
    programs = getattr(sys.modules.get(package), "programs", dict)()
    spelled = suggestions.spelled(name)
    having = [
        f"kerasbert {command}"
        for command, options_class in programs.items()
        if any(suggestions.spelled(f.name) == spelled for f in dataclasses.fields(options_class))
    ]
    shown = having[:_MOST_COMMANDS]
    return ", ".join(shown) + (" and others" if len(having) > len(shown) else "")


def unexpected_argument(
    word: str, words: Sequence[str], options_class: type[declared.Options], missing: Sequence[str]
) -> str:
    """Returns the message for an argument that is not a flag.

    Args:
        word: string, the argument.
        words: the whole command line, with the words of files of flags.
        options_class: the options of the program.
        missing: names of required options that are not given.
    """
    fields = {field.name: field for field in dataclasses.fields(options_class)}
    at = words.index(word)
    before, _, value = words[at - 1].lstrip("-").partition("=")
    if before in fields and _is_bool(fields[before]):
        return f"--{before} takes no value, found {word!r}; --no{before} turns it off"
    flag = before if value else words[max(0, at - 2)].lstrip("-")  # whose value is before the word
    if flag in fields and fields[flag].type == list[str]:
        return (
            f"unexpected argument {word!r}; give each value its --{flag}, and quote a pattern, so "
            "that the shell does not expand it"
        )
    if word.partition("=")[0] in (*fields, "help"):
        hint = suggestions.did_you_mean([f"--{word}"])
    elif len(missing) == 1:
        hint = suggestions.did_you_mean([f"--{missing[0]} {word}"])
    else:
        hint = "every option is a --flag"
    return f"unexpected argument {word!r}; {hint}"
