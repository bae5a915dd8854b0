"""Annotations of a function: resolved to types, and as the text that people wrote."""

from __future__ import annotations

import builtins
import functools
import re
import sys
import types
import typing
from typing import Any, Callable


def hints(function: Callable) -> dict[str, Any]:
    """The annotations by parameter. One that cannot be resolved stays the text that it is."""
    plain = plain_function(function)
    try:
        return typing.get_type_hints(plain, include_extras=True)
    except Exception:
        scope = getattr(plain, "__globals__", {})
        return {name: resolve(annotation, scope) for name, annotation in written(plain).items()}


def written(function: Callable) -> dict[str, Any]:
    """The annotations by parameter, as they stand in the source: texts, or what they evaluated to."""
    try:
        return dict(getattr(plain_function(function), "__annotations__", {}))
    except Exception:  # From Python 3.14 on they are evaluated here.
        return {}


def class_hints(kind: type) -> dict[str, Any]:
    """The annotations of a class's fields, those of its bases included."""
    try:
        return typing.get_type_hints(kind)
    except Exception:
        found: dict[str, Any] = {}
        for base in reversed(kind.__mro__):
            scope = vars(sys.modules.get(base.__module__, builtins))
            for name, annotation in base.__dict__.get("__annotations__", {}).items():
                found[name] = resolve(annotation, scope)
        return found


def resolve(annotation: Any, scope: dict) -> Any:
    """The type that a text stands for, or the text. `A | B` is understood before Python 3.10 too."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if type(annotation) is not str:
        return annotation
    try:
        return eval(_with_unions(annotation), {"_Union": typing.Union, **scope})
    except Exception:
        return annotation


def text_of(annotation: Any) -> str:
    """The annotation in Python's spelling, without module names."""
    if type(annotation) is str:
        return _QUOTED.sub(r"\2", annotation)
    if annotation is None or annotation is type(None):
        return "None"
    if hasattr(annotation, "__metadata__"):
        return text_of(annotation.__origin__)
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    if typing.get_origin(annotation) is typing.Literal:
        return f"Literal[{', '.join(map(repr, annotation.__args__))}]"
    return _MODULES.sub("", repr(annotation)).replace("NoneType", "None")


def plain_function(function: Callable) -> Callable:
    """The function below methods, decorators that keep its signature, partials and callable objects."""
    plain = called_by(function)
    while hasattr(plain, "__wrapped__"):
        plain = plain.__wrapped__
    return plain


def called_by(function: Callable) -> Callable:
    """The function that a call of it runs: itself, or the one of a method, a partial or a callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def _with_unions(text: str) -> types.CodeType:
    """The expression, with `A | B` as `_Union[A, B]`."""
    import ast  # Rarely needed: not worth its time at the start of each worker.

    class Unions(ast.NodeTransformer):
        def visit_BinOp(self, node):
            self.generic_visit(node)
            if not isinstance(node.op, ast.BitOr):
                return node
            members = ast.Tuple(elts=[node.left, node.right], ctx=ast.Load())
            return ast.Subscript(value=ast.Name(id="_Union", ctx=ast.Load()), slice=members, ctx=ast.Load())

        def visit_Subscript(self, node):
            # The operands within Literal are values, and there are no unions in them.
            return node if "Literal" in ast.dump(node.value) else self.generic_visit(node)

    tree = ast.fix_missing_locations(Unions().visit(ast.parse(text, mode="eval")))
    return compile(tree, "<annotation>", "eval")


# A text that the source put into quotes of its own, beside `from __future__ import annotations`.
_QUOTED = re.compile(r"""^(['"])([^'"]*)\1$""")
_MODULES = re.compile(r"(?<![\w'\"])(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])|<locals>\.")
