"""Pages of the site that are made from other files: the README, and the reference.

The reference has a page for each package with public names, and one with the help of all commands.
Nothing is imported but the options of the commands, so a build needs neither Keras nor TensorFlow.
"""

import ast
import pathlib
import re
import sys
from collections.abc import Iterator

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: Pages that are files of the repository's root.
ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
#: Packages and modules of each page of the reference; a name is described on the first page.
REFERENCE = {
    "tasks": ["kerasbert.tasks"],
    "text": ["kerasbert.text"],
    "layers": ["kerasbert.layers"],
    "data": ["kerasbert.data", "kerasbert.data.corpus", "kerasbert.data.pretraining"],
    "distillation": ["kerasbert.distillation"],
    "training": ["kerasbert.training"],
    "metrics": [
        "kerasbert.metrics.classification",
        "kerasbert.metrics.entities",
        "kerasbert.metrics.squad",
    ],
    "checkpoints": ["kerasbert.checkpoints"],
    "families": ["kerasbert.families"],
    "serving": ["kerasbert.serving", "kerasbert.serving.kit"],
    "kerasbert": ["kerasbert"],
}


#: Classes that show the methods of base classes without a page.
WITH_INHERITED = {"kerasbert.Backbone", "kerasbert.tasks.Task", "kerasbert.text.Tokenizer"}

#: Members that users have no need of, which the pages leave out: called by Keras, defined by new
#: tasks (CONTRIBUTING.md), or called by other modules. With a class, of this one only.
NOT_SHOWN = """
    build compute_output_shape compute_output_spec get_config from_config save_assets load_assets
    make_train_function make_test_function make_predict_function get_compile_config
    compile_from_config update_step trainable_weights trainable_variables non_trainable_variables
    train_on_batch test_on_batch predict_on_batch

    train_step test_step step_function step_data forward loss_divisors set_global_batch
    check_layer_losses check_class_weight needs_few_shapes

    make_preprocessor head_config stored_head needs_pooler accuracy_metric example_call output_name
    output_padding outputs_activation outputs_are outputs_for head_arguments heads_from pipeline_tag

    belongs_to resources tokens_before_second share index_tensors
    is_due_by_steps lacks_permanent permanent_path check_classes
    Dropout.threshold Dropout.draws_bytes Dropout.random_bytes
    Duplicates.of Duplicates.signed Duplicates.check Duplicates.in_input
    Selection.metadata Selection.counts Selection.check Selection.read
    Distiller.backbone Distiller.preprocessor Distiller.card_text Distiller.evaluate
    Backbone.described SimilarWords.replaced
    mark_uninitialized random_weights_in_use warn_of_random_weights check_takes_text
"""


def on_config(config):
    """Adds the pages of docs/ that `nav` does not name to its section "In depth"."""
    named = set(_pages(config.nav))
    (pages,) = (section["In depth"] for section in config.nav if "In depth" in section)
    pages += [p.name for p in sorted(ROOT.glob("docs/*.md")) if p.name not in named]
    return config


def _pages(nav) -> Iterator[str]:
    for item in nav:
        for value in item.values() if isinstance(item, dict) else [item]:
            yield from [value] if isinstance(value, str) else _pages(value)


def on_files(files, config):
    """Adds the pages."""
    pages = {page: _at_root((ROOT / name).read_text()) for page, name in ROOT_PAGES.items()}
    documented = set()
    for page, packages in REFERENCE.items():
        pages[f"reference/{page}.md"] = _reference(page, packages, documented)
    pages["reference/commands.md"] = _commands()
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Rewrites links from a page in docs/ to files of the root."""
    names = {name: target for target, name in ROOT_PAGES.items()}
    pattern = r"\]\(\.\./(" + "|".join(map(re.escape, names)) + r")(#[^)]*)?\)"
    return re.sub(pattern, lambda m: f"]({names[m[1]]}{m[2] or ''})", markdown)


def _at_root(text: str) -> str:
    """Rewrites the links of a file of the root."""
    names = {name: target for target, name in ROOT_PAGES.items()}
    text = re.sub(r"\]\(docs/", "](", text)
    pattern = r"\]\((" + "|".join(map(re.escape, names)) + r")(#[^)]*)?\)"
    return re.sub(pattern, lambda m: f"]({names[m[1]]}{m[2] or ''})", text)


# === Reference ===


def public_names(package: str) -> list[str]:
    """Returns the names in `__all__` of a package's stub or code; of a module, what it defines."""
    path = ROOT.joinpath(*package.split("."))
    stub, code = path / "__init__.pyi", path / "__init__.py"
    module = path.with_suffix(".py")
    tree = ast.parse(next(p for p in (stub, code, module) if p.exists()).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [n.name for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]


def _home(package: str, name: str) -> str:
    """Returns the module that defines a package's name, to describe it once."""
    path = ROOT.joinpath(*package.split("."), "__init__.pyi")
    if path.exists():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
                return f"{node.module}.{name}"
    return f"{package}.{name}"


def _reference(page: str, packages: list[str], documented: set[str]) -> str:
    lines = [f"# {'kerasbert' if page == 'kerasbert' else f'kerasbert.{page}'}"]
    if page == "kerasbert":
        names = ", ".join(f"[`{name}`][kerasbert.tasks.{name}]" for name in _tasks())
        lines.append(f"\nAlso in `kerasbert`: {names}.")
    for package in packages:
        if len(packages) > 1:
            lines.append(f"\nIn `{package}`:")
        for name in public_names(package):
            if _is_object(package, name) and _home(package, name) not in documented:
                documented.add(_home(package, name))
                lines.append(f"\n::: {package}.{name}")
                if name[0].isupper():
                    left_out = f"!^({'|'.join(hidden_members(name))})$"
                    lines.append(
                        f'    options:\n      filters: ["!^_", "^__call__$", "{left_out}"]'
                    )
                if f"{package}.{name}" in WITH_INHERITED:
                    lines.append("      inherited_members: true")
    return "\n".join(lines) + "\n"


def hidden_members(kind: str) -> list[str]:
    """Returns the names of the members that the page of a class leaves out."""
    names = (name.removeprefix(f"{kind}.") for name in NOT_SHOWN.split())
    return [name for name in names if "." not in name]


def _tasks() -> list[str]:
    both = set(public_names("kerasbert")) & set(public_names("kerasbert.tasks"))
    return sorted(both)


def _is_object(package: str, name: str) -> bool:
    """Returns whether a name is a class or a function; constants are described where they are."""
    return not name.isupper() or name == "LAMB"


def _commands() -> str:
    """Returns the help of all commands."""
    sys.path.insert(0, str(ROOT))
    from kerasbert import cli
    from kerasbert.recipes.options import programs

    lines = ["# Commands", "", "`kerasbert COMMAND`, or `python scripts/COMMAND.py` in a clone."]
    for name, options in programs().items():
        lines += [
            "",
            f"## {name}",
            "",
            "```text",
            cli.help_text(options, f"kerasbert {name}"),
            "```",
        ]
    return "\n".join(lines) + "\n"
