"""Reads sources as JSON, checks one rule (`imports` or `grammar`), writes what it found as JSON."""

import ast
import json
import sys

OLDEST = (3, 9)
# Part of today's standard library, but not of the oldest Python's.
NEWER = {"annotationlib", "compression", "tomllib"}
# Libraries that are met, never required.
OPTIONAL = {"msgspec", "numpy", "orjson", "pyarrow", "torch"}
GUARDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Try)


def main():
    rule = {"imports": imports, "grammar": grammar}[sys.argv[1]]
    sources = json.load(sys.stdin)
    json.dump([finding for source in sources for finding in rule(source["path"], source["text"])], sys.stdout)


def grammar(path, text):
    try:
        ast.parse(text, path, feature_version=OLDEST)
    except SyntaxError as error:
        yield found(path, error.lineno, "not Python %d.%d: %s; write it in the older grammar" % (*OLDEST, error.msg))


def imports(path, text):
    try:
        tree = ast.parse(text, path)
    except SyntaxError:
        return  # the rule of the grammar says so
    allowed = set(sys.stdlib_module_names) - NEWER | {"hatchery"}
    for name, line, guarded in imported(tree, False):
        if name in allowed or (guarded and name in OPTIONAL | NEWER):
            continue
        yield found(path, line, "`%s` is not in the standard library of Python %d.%d; %s" % (name, *OLDEST, remedy(name)))


def remedy(name):
    if name in OPTIONAL | NEWER:
        return "import it inside a function or a try"
    return "do without it"


def imported(node, guarded):
    """The root, the line and the guard of every absolute import below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name.partition(".")[0], child.lineno, guarded
        elif isinstance(child, ast.ImportFrom):
            if not child.level:
                yield child.module.partition(".")[0], child.lineno, guarded
        else:
            yield from imported(child, guarded or is_guard(child))


def is_guard(node):
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, GUARDS)


def found(path, line, what):
    return {"path": path, "line": line or 1, "what": what}


if not hasattr(sys, "stdlib_module_names"):
    sys.exit("tidy needs a python3 of 3.10 or newer")
main()
