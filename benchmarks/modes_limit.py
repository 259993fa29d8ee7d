"""How near the compiled kernels of per-mode ensembles are to the machine's rate of products: their text, counted."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from benchmarks.modes_peers import Array
from dynamics import kernel_source, modes
from dynamics.compiled import explicit
from dynamics.ensemble import integrate_many


def arithmetic(tree: ast.AST, calls: Mapping[str, int]) -> int:
    """Additions, multiplications and divisions of floats in a piece of source. Indices are none; calls: what a call of each of
    these names makes, whose arguments are names and indices."""
    if isinstance(tree, ast.Subscript):
        return 0
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in calls:
        return calls[tree.func.id]
    own = isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add | ast.Sub | ast.Mult | ast.Div)
    return sum(arithmetic(node, calls) for node in ast.iter_child_nodes(tree)) + own


def share_of_limit(
    case: str, y0: Array, q: Array, t_end: float, ours: Mapping[str, Any], limits: Mapping[str, float]
) -> str:
    """How near the kernel is to the rate of large products: operations of one try, counted in its text (a complex one, of
    the stiff Jacobian, as one), times tries, over the time that the project's row `ours` took."""
    calls = {"field": arithmetic(ast.parse(textwrap.dedent(inspect.getsource(modes.field))), {})}
    kind, how = explicit(modes.field, 3, 6, False) if case == "mild" else ("stiff", "complex")
    kernel = ast.parse(kernel_source.text(kind, 3, 6, 0, how))
    for x in kernel.body:  # the sums that the kernel names
        if (
            isinstance(x, ast.Assign)
            and isinstance(x.value, ast.Call)
            and ast.unparse(x.value.func) in ("weighted", "paired")
        ):
            calls[ast.unparse(x.targets[0])] = 2 * len(ast.literal_eval(x.value.args[0])) - 1
    tried = [f for f in kernel.body if isinstance(f, ast.FunctionDef) and f.name not in ("begin", "between")]
    a_try = sum(arithmetic(f, calls) for f in tried)
    tries = integrate_many(modes.field, y0.T, q.T, t_end, rtol=ours["tolerance"]).tries.mean()
    rate = 1e-3 * a_try * tries / ours["us_per_trajectory"]
    share = rate / limits["dgemm_gflops"]
    return f"{tries:.1f} tries of {a_try} operations: {rate:.3g} GFLOP/s, {share:.0%} of the rate of large products"
