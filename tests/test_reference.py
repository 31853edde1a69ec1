"""The reference: every public name is described, down to its arguments, and its examples run.

The names are those of the site (docs/_site/hooks.py). Every class and function has an example. The
examples of a class's methods continue the example of the class, as on the page.
"""

import contextlib
import doctest
import importlib
import inspect
import re
from unittest import mock

import keras
import pytest
import site_hooks
from running_server import RunningServer

from kerasbert import TextClassifier, families
from kerasbert.tasks import registry

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST
#: Keras calls these, with shapes of the arguments of `call`.
OF_KERAS = ("build", "compute_output_shape", "compute_output_spec")
#: Examples of clients say that a server runs, and this is it.
SERVED = {"localhost:8501": "rest", "localhost:8500": "grpc"}
REGISTRIES = (families.FAMILIES, families.PRESETS, registry.TASKS)


def public():
    """Returns all public classes and functions by name, each once."""
    hooks, found = site_hooks.load(), {}
    for package in (package for packages in hooks.REFERENCE.values() for package in packages):
        module = importlib.import_module(package)
        for name in hooks.public_names(package):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(id(value), (f"{package}.{name}", value))
    return dict(found.values())


def function_of(attribute):
    """Returns the function of a method or property, or None."""
    for wrapped in ("fget", "func", "__func__"):
        attribute = getattr(attribute, wrapped, attribute)
    return attribute if inspect.isfunction(attribute) else None


def own_methods(kind):
    """Returns the public methods and properties that a class defines itself, by name."""
    if not re.match(r"kerasbert\.(?!_)", kind.__module__):
        return {}
    public = {n: v for n, v in vars(kind).items() if not n.startswith("_") or n == "__call__"}
    functions = {name: function_of(value) for name, value in public.items()}
    return {name: function for name, function in functions.items() if function}


def _num_bases(kind):
    return len(kind.__mro__)


PUBLIC = public()
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if name not in CLASSES}
#: Other classes of kerasbert, with the public class that shows their methods.
BASES = {
    base: min((kind for kind in CLASSES.values() if issubclass(kind, base)), key=_num_bases)
    for base in dict.fromkeys(base for kind in CLASSES.values() for base in kind.__mro__)
    if base.__module__.startswith("kerasbert") and base not in CLASSES.values()
}
METHODS = {
    f"{base.__module__}.{base.__qualname__}.{name}": (base, name, function)
    for kind in CLASSES.values()
    for base in kind.__mro__
    for name, function in own_methods(base).items()
}


def documentation():
    """Yields the names and the docstrings of everything public."""
    for name, value in PUBLIC.items():
        yield name, value.__doc__ or ""
    for name, (_, _, function) in METHODS.items():
        yield name, function.__doc__ or ""


def test_everything_has_a_summary():
    lines = {name: inspect.cleandoc(text).split("\n")[0] for name, text in documentation()}
    assert [name for name, line in lines.items() if not re.fullmatch("[A-Z0-9`].+[.:]", line)] == []


def test_every_class_and_function_has_an_example():
    assert [name for name, value in PUBLIC.items() if ">>> " not in (value.__doc__ or "")] == []


def code_of(text):
    """Returns the code of a docstring's examples."""
    return "\n".join(re.findall(r"^ *(?:>>>|\.\.\.) (.*)$", text or "", re.MULTILINE))


def test_examples_use_every_method_that_the_pages_show():
    lacking, hooks = set(), site_hooks.load()
    for kind in CLASSES.values():
        ours = [base for base in kind.__mro__ if base.__module__.startswith("kerasbert")]
        methods = [(n, f) for base in reversed(ours) for n, f in own_methods(base).items()]
        texts = [*(base.__doc__ for base in ours), *(f.__doc__ for _, f in methods)]
        used = set(re.findall(r"\.(\w+)", " ".join(map(code_of, texts))))
        # The class describes how a layer is called.
        known = {*used, *hooks.hidden_members(kind.__name__), "call", "__call__"}
        lacking |= {f.__qualname__ for name, f in methods if name not in known}
    assert lacking == set()


def test_no_example_is_left_out():
    assert [name for name, text in documentation() if "doctest:" in text] == []
    # A block of code in another form would not run.
    blocks = re.compile(r"\n\n +([\w.]+ = |[\w.]+\()")
    assert [name for name, text in documentation() if blocks.search(text)] == []


# === Arguments ===


def described(text):
    """Returns the names of the arguments that a docstring describes."""
    names, inside = set(), False
    for line in inspect.cleandoc(text or "").splitlines():
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (match := re.match(r" {4}(\*{0,2}\w+): ", line)):
            names.add(match[1])
    return names


def arguments(function):
    """Returns the names of a function's arguments, without the first one of a method."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(function).parameters.values()
    return {f"{stars.get(p.kind, '')}{p.name}" for p in parameters} - {"self", "cls", "_cls"}


def inherited(base, name):
    """Returns the arguments that an overridden method describes, or that are Keras's."""
    known = set()
    for other in base.__mro__[1:]:
        if function := function_of(vars(other).get(name)):
            ours = other.__module__.startswith("kerasbert")
            known |= {"*args", "**kwargs"}  # which stand for them
            known |= described(function.__doc__) if ours else arguments(function)
    return known


def test_every_argument_of_a_function_is_described():
    lacking = {name: arguments(f) - described(f.__doc__) for name, f in FUNCTIONS.items()}
    assert {name: missing for name, missing in lacking.items() if missing} == {}


def test_every_argument_of_a_class_is_described():
    made_by = {  # a named tuple is made by `__new__`
        name: kind.__init__ if inspect.isfunction(kind.__init__) else kind.__new__
        for name, kind in CLASSES.items()
    }
    lacking = {
        name: arguments(function) - described(CLASSES[name].__doc__)
        for name, function in made_by.items()
        if not function.__module__.startswith("keras.")
    }
    assert {name: missing for name, missing in lacking.items() if missing} == {}


def test_every_argument_of_a_method_is_described():
    lacking = {}
    for key, (base, name, function) in METHODS.items():
        text = function.__doc__
        missing = arguments(function) - described(text) - inherited(base, name)
        if name == "call":  # the class describes how it is called
            missing = {n for n in missing if not re.search(rf"\b{n}\b", base.__doc__ or "")}
        if missing and name not in OF_KERAS:
            lacking[key] = missing
    assert lacking == {}


# === Examples ===


@pytest.fixture(scope="module")
def served(tokenizer, tiny_backbone, tmp_path_factory):
    """Yields the addresses of a running server, by those in the examples."""
    directory = tmp_path_factory.mktemp("exports") / "opinions"
    task = TextClassifier(tiny_backbone(tokenizer), ["bad", "good"], tokenizer=tokenizer)
    task.export(directory / "1", check=False)
    server = RunningServer(directory, "opinions")
    yield {there: re.search("//([^/]+)", getattr(server, api))[1] for there, api in SERVED.items()}
    server.stop()


def run_examples(name, text, namespace, addresses):
    """Runs the examples of a docstring; returns their namespace."""
    for there, address in addresses.items():
        text = text.replace(there, address)
    test = doctest.DocTestParser().get_doctest(text, namespace, name, None, None)
    lines = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(
        test, out=lines.append, clear_globs=False
    )
    assert not failed, "".join(lines)
    return test.globs


@pytest.mark.parametrize("name", PUBLIC)
def test_examples(name, request, tmp_path, monkeypatch):
    value = PUBLIC[name]
    needs_server = any(address in (value.__doc__ or "") for address in SERVED)
    addresses = request.getfixturevalue("served") if needs_server else {}
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    with contextlib.ExitStack() as kept:
        # Some examples add to them. Others import modules, which must find the tables themselves.
        for table in REGISTRIES:
            kept.enter_context(mock.patch.dict(table))
        namespace = run_examples(name, value.__doc__ or "", {}, addresses)
        for base in [value, *(base for base, shown in BASES.items() if shown is value)]:
            for method, function in own_methods(base).items() if inspect.isclass(base) else ():
                run_examples(f"{name}.{method}", function.__doc__ or "", dict(namespace), addresses)
