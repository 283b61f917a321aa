"""CloudWatch's metric math, computed locally, as an emulator's CloudWatch may support none.

What dashboards use is supported: arithmetic, comparisons, SUM, AVG, MIN, MAX, METRICS, FILL, IF, ABS, CEIL, FLOOR, RATE,
RUNNING_SUM, PERIOD. Anything else is an error that names the function. Missing points follow CloudWatch: arithmetic needs
both, a division by zero gives no point, and SUM and its like take those that are there.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence

from monitoring.errors import MonitoringError

Points = dict[float, float]  # seconds since the epoch to value
Value = Points | float | list[Points]

_BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Eq: lambda a, b: float(a == b),
    ast.NotEq: lambda a, b: float(a != b),
}
_MANY: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_ONE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


def evaluate(
    expression: str, known: Mapping[str, Points], period: float, times: Sequence[float] = ()
) -> Points:
    """Compute an expression.

    Parameters
    ----------
    expression
        As in a widget: ``100 * low / (low + sure)``.
    known
        Series by id.
    period
        Seconds between points.
    times
        The moments that FILL fills; by default those at which any known series has a point.

    Raises
    ------
    MonitoringError
        The expression is not valid, or uses what is not supported here.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MonitoringError(f"not an expression of metric math: {expression!r}") from None
    moments = sorted(times or {t for series in known.values() for t in series})
    try:
        found = _Evaluator(expression, known, period, moments).value(tree)
    except RecursionError:
        raise MonitoringError(f"nested too deeply: {expression[:60]!r} ...") from None
    if isinstance(found, list):
        raise MonitoringError(f"gives several series where one is wanted: {expression!r}")
    return found if isinstance(found, dict) else dict.fromkeys(moments, found)


class _Evaluator:
    def __init__(
        self, expression: str, known: Mapping[str, Points], period: float, moments: list[float]
    ) -> None:
        self._expression, self._known, self._period, self._moments = expression, known, period, moments

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Name):
            if node.id not in self._known:
                raise self._unsupported(f"no metric has the id {node.id!r}")
            return self._known[node.id]
        if isinstance(node, ast.List):
            return [self._series(element) for element in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._both(
                operator.mul, -1.0 if isinstance(node.op, ast.USub) else 1.0, self.value(node.operand)
            )
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._both(_BINARY[type(node.op)], self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _BINARY:
            return self._both(
                _BINARY[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0])
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node.func.id.upper(), node.args)
        raise self._unsupported("is not supported")

    def _call(self, name: str, args: Sequence[ast.expr]) -> Value:
        if name == "METRICS":
            start = str(args[0].value) if args and isinstance(args[0], ast.Constant) else ""
            return [series for key, series in self._known.items() if key.startswith(start)]
        if name in _MANY and len(args) == 1:
            found = self.value(args[0])
            if isinstance(found, dict):
                return float(_MANY[name](list(found.values()))) if found else {}
            points: dict[float, list[float]] = {}
            for series in found if isinstance(found, list) else ():
                for time, value in series.items():
                    points.setdefault(time, []).append(value)
            return {time: _MANY[name](values) for time, values in sorted(points.items())}
        if name in _ONE and len(args) == 1:
            return self._both(lambda a, _: float(_ONE[name](a)), self.value(args[0]), 0.0)
        if name == "FILL" and len(args) == 2:
            return self._fill(self.value(args[0]), args[1])
        if name == "IF" and len(args) in (2, 3):
            return self._if([self.value(a) for a in args])
        if name == "PERIOD" and len(args) == 1:
            return float(self._period)
        if name == "RATE" and len(args) == 1:
            sorted_points = sorted(self._series(args[0]).items())
            pairs = itertools.pairwise(sorted_points)
            return {t: (value - before) / (t - since) for (since, before), (t, value) in pairs}
        if name == "RUNNING_SUM" and len(args) == 1:
            total, out = 0.0, {}
            for time, value in sorted(self._series(args[0]).items()):
                total += value
                out[time] = total
            return out
        raise self._unsupported(f"{name} with {len(args)} arguments is not supported")

    def _series(self, node: ast.expr) -> Points:
        found = self.value(node)
        if isinstance(found, list):
            raise self._unsupported("a list stands where one series is wanted")
        return found if isinstance(found, dict) else dict.fromkeys(self._moments, found)

    def _fill(self, found: Value, how: ast.expr) -> Value:
        if isinstance(found, list):
            return [self._filled(series, how) for series in found]
        return self._filled(found, how) if isinstance(found, dict) else found

    def _filled(self, series: Points, how: ast.expr) -> Points:
        if isinstance(how, ast.Name) and how.id == "REPEAT":
            out: Points = {}
            last = math.nan
            for time in self._moments:
                last = series.get(time, last)
                if not math.isnan(last):
                    out[time] = last
            return out
        value = self.value(how)
        if not isinstance(value, float):
            raise self._unsupported("FILL takes a number or REPEAT")
        return {time: series.get(time, value) for time in self._moments}

    def _if(self, parts: list[Value]) -> Value:
        condition, yes, no = parts[0], parts[1], parts[2] if len(parts) == 3 else {}
        if any(isinstance(part, list) for part in parts):
            raise self._unsupported("IF takes single series")
        out: Points = {}
        for time in self._moments:
            chosen = yes if _at(condition, time) else no
            value = _at(chosen, time)
            if value is not None:
                out[time] = value
        return out

    def _both(self, combine: Callable[[float, float], float], a: Value, b: Value) -> Value:
        if isinstance(a, list):
            return [self._one(combine, series, b) for series in a]
        if isinstance(b, list):
            return [self._one(combine, a, series) for series in b]
        if isinstance(a, float) and isinstance(b, float):
            found = _combined(combine, a, b)
            return found if found is not None else math.nan
        return self._one(combine, a, b)

    def _one(self, combine: Callable[[float, float], float], a: Value, b: Value) -> Points:
        times = [set(side) for side in (a, b) if isinstance(side, dict)]
        out: Points = {}
        for time in sorted(set.intersection(*times)) if times else ():
            x, y = _at(a, time), _at(b, time)
            found = _combined(combine, x, y) if x is not None and y is not None else None
            if found is not None:
                out[time] = found
        return out

    def _unsupported(self, reason: str) -> MonitoringError:
        return MonitoringError(f"{self._expression!r}: {reason}")


def _at(value: Value, time: float) -> float | None:
    if isinstance(value, dict):
        return value.get(time)
    return value if isinstance(value, float) else None


def _combined(combine: Callable[[float, float], float], a: float, b: float) -> float | None:
    try:
        found = combine(a, b)
    except (ZeroDivisionError, OverflowError):
        return None
    return float(found) if not isinstance(found, complex) and math.isfinite(found) else None
