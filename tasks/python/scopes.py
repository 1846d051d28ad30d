"""Scopes of a syntax tree: which names a function binds, and which names reach the module or the builtins.

Owns the rules of binding, as the compiler has them, without compiling. Invariant: a name counts as bound only where it can
never mean the builtin of that name; so class bodies, which fall back to builtins, bind nothing here.
"""

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def parameters(function: Function) -> list[ast.arg]:
    """In order: positional-only, positional, *args, keyword-only, **kwargs."""
    given = function.args
    found = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [parameter for parameter in found if parameter is not None]


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Nodes that run in the function's own scope; of a nested function or class, what is evaluated outside of it."""
    pending: list[ast.AST] = list(_body(function))
    while pending:
        node = pending.pop()
        yield node
        pending.extend(_outside(node) if isinstance(node, Function | ast.ClassDef) else ast.iter_child_nodes(node))


def binds(node: ast.AST) -> str | None:
    """The name that a node binds in the scope that it stands in."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
    ):
        return node.name
    if isinstance(node, ast.alias):
        return node.asname or node.name.split(".")[0]
    return node.rest if isinstance(node, ast.MatchMapping) else None


def free_names(tree: ast.Module) -> set[str]:
    """Names read somewhere in the module that no function or comprehension around binds."""
    return set(_free(tree.body, frozenset()))


def _free(nodes: Iterable[ast.AST], bound: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            if node.id not in bound:
                yield node.id
        elif isinstance(node, Function):
            yield from _free(_outside(node), bound)
            yield from _free(_body(node), bound | _bound(node))
        elif isinstance(node, ast.ClassDef):
            yield from _free(_outside(node), bound)
            yield from _free(node.body, bound - {binds(inner) or "" for inner in ast.walk(node)})
        elif isinstance(node, Comprehension):
            first, *others = node.generators
            yield from _free([first.iter], bound)  # evaluated before the comprehension binds
            inner = bound | _targets(node)
            yield from _free([first.target, *first.ifs, *others, *_elements(node)], inner)
        else:
            yield from _free(ast.iter_child_nodes(node), bound)


def _bound(function: Function) -> frozenset[str]:
    own = list(own_nodes(function))
    of_comprehensions = {id(name) for node in own if isinstance(node, Comprehension) for name in _target_names(node)}
    bound = {name for node in own if id(node) not in of_comprehensions and (name := binds(node))}
    outer = {name for node in own if isinstance(node, ast.Global) for name in node.names}
    return frozenset(bound | {parameter.arg for parameter in parameters(function)}) - outer


def _targets(node: Comprehension) -> frozenset[str]:
    return frozenset(name.id for name in _target_names(node))


def _target_names(node: Comprehension) -> Iterator[ast.Name]:
    for generator in node.generators:
        yield from (name for name in ast.walk(generator.target) if isinstance(name, ast.Name) and binds(name))


def _elements(node: Comprehension) -> list[ast.expr]:
    return [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]


def _body(function: Function) -> list[ast.AST]:
    return [function.body] if isinstance(function, ast.Lambda) else list(function.body)


def _outside(node: Function | ast.ClassDef) -> list[ast.AST]:
    """What is evaluated where a function or class is defined: defaults, decorators, annotations, bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
    if isinstance(node, ast.Lambda):
        return list(defaults)
    annotations = [parameter.annotation for parameter in parameters(node)] + [node.returns]
    return [*node.decorator_list, *defaults, *(note for note in annotations if note is not None)]
