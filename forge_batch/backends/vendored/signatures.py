"""Compare functions of a package with what an adapter calls, without running any of it.

A package that needs a GPU to be imported can be read all the same: the parameters stand in its source.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path


def signature_text(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Write a function's parameters as `(a, b=1, *args, **kwargs)`, without annotations."""
    arguments = function.args
    for argument in (
        *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg)),
    ):  # fmt: skip
        argument.annotation = None
    return f"({ast.unparse(arguments)})"


def read_signatures(source: str) -> dict[str, str]:
    """Give the signatures of a module's functions and methods by qualified name; SyntaxError as `ast.parse`."""
    found: dict[str, str] = {}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + node.name] = signature_text(node)

    walk(ast.parse(source).body, "")
    return found


def differences(folder: Path, required: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Say in a sentence each how the sources below `folder` differ from the required signatures; nothing if they do not."""
    lines = []
    for file, functions in required.items():
        try:
            found = read_signatures((folder / file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            lines.append(f"{file} is missing")
            continue
        except (SyntaxError, ValueError) as error:
            lines.append(f"{file} is no Python source: {error}")
            continue
        for name, wanted in functions.items():
            if name not in found:
                lines.append(f"{file} has no {name}{wanted}")
            elif found[name] != wanted:
                lines.append(f"{file}: {name} is {found[name]}, the adapter was written for {wanted}")
    return lines
