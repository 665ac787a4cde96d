"""Rows and predictions in the JSON that model servers speak: one object, a list, or the envelopes of known servers.

MLflow's /invocations (`dataframe_split`, `dataframe_records`, `instances`, `inputs`), TensorFlow Serving's and Vertex
AI's predict (`instances`, `inputs`), and the Open Inference Protocol (`inputs` and `outputs` with `name` and `data`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]

_BESIDE = frozenset({"context", "id", "index", "outputs", "parameters", "params", "signature_name"})
"""What may be in a request beside the envelope. With any other name in it, an object is a row of features."""

_ANSWERS = ("prediction", "predictions", "outputs")

_SUM_TOLERANCE = 0.01
"""Of probabilities that were rounded, or computed in float16."""


def features_and_predictions(request: Any, response: Any) -> tuple[Any, Any]:
    """The features of one row and its prediction, or a list of rows and as many predictions.

    Rows without names have x0, x1, …; probabilities without names (numbers that sum to 1) are those of "0", "1", …
    An object that is a prediction has it under `prediction`, or as its only value. Raises ValueError when the response
    has none of the names that answers have.
    """
    rows, answer = _rows(request), _answer(response)
    if not isinstance(answer, list):
        return (rows[0] if rows is not None and len(rows) == 1 else request), answer
    if rows is None and isinstance(request, dict) and len(answer) > 1:
        rows = _transposed(request, len(answer))
    if rows is None or (len(rows) == 1 and len(answer) != 1):
        return (request if rows is None else rows[0]), _outcome(answer)
    return rows, [_outcome(value) for value in answer]


def _rows(request: Any) -> list[Row] | None:
    """The rows of a list or an envelope; None when the request is neither."""
    if isinstance(request, list):
        return [_row(value) for value in request]
    if not isinstance(request, dict):
        return None
    names = request.keys() - _BESIDE
    if names == {"columns", "data"}:
        return _split(request)
    envelope = names.pop() if len(names) == 1 else ""
    return _ENVELOPES[envelope](request[envelope]) if envelope in _ENVELOPES else None


def _split(frame: Any) -> list[Row] | None:
    if not isinstance(frame, dict) or not isinstance(frame.get("columns"), list):
        return None
    return [dict(zip(frame["columns"], row, strict=True)) for row in frame["data"]]


def _records(rows: Any) -> list[Row] | None:
    return [_row(value) for value in rows] if isinstance(rows, list) else None


def _tensors(value: Any) -> list[Row] | None:
    """Rows, {name: column}, or a list of named tensors."""
    if isinstance(value, dict):
        return _transposed(value) or [_without_dimension(value)]
    if not isinstance(value, list):
        return None
    if _are_named(value):
        return _transposed(_columns(value))
    return [_without_dimension(_row(row)) for row in value]


_ENVELOPES: Mapping[str, Callable[[Any], list[Row] | None]] = {
    "dataframe_records": _records,
    "dataframe_split": _split,
    "inputs": _tensors,
    "instances": _tensors,
}


def _row(value: Any) -> Row:
    if isinstance(value, dict):
        return value
    return {f"x{index}": item for index, item in enumerate(value if isinstance(value, list) else [value])}


def _without_dimension(row: Row) -> Row:
    """Where every value is a tensor, a number is a list of one."""
    return {name: _scalar(value) for name, value in row.items()}


def _scalar(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _transposed(columns: Mapping[str, Any], rows: int | None = None) -> list[Row] | None:
    """The rows of columns; None unless all are lists of one length, `rows` when it is given."""
    if not columns or not all(isinstance(column, list) for column in columns.values()):
        return None
    lengths = set(map(len, columns.values()))
    if len(lengths) > 1 or (rows is not None and lengths != {rows}):
        return None
    return [_without_dimension(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _are_named(tensors: Sequence[Any]) -> bool:
    return bool(tensors) and all(isinstance(tensor, dict) and {"name", "data"} <= tensor.keys() for tensor in tensors)


def _columns(tensors: Sequence[Row]) -> Row:
    """{name: one value a row}, of tensors whose data may be flat, whatever their shape."""
    columns = {}
    for tensor in tensors:
        data, shape = tensor["data"], tensor.get("shape")
        width = len(data) // shape[0] if shape and shape[0] else 1
        rows = [data[start : start + width] for start in range(0, len(data), width)] if width > 1 else data
        columns[tensor["name"]] = rows
    return columns


def _answer(response: Any) -> Any:
    """The prediction of a response, or a list of them."""
    if isinstance(response, list):
        return response
    for name in _ANSWERS:
        if isinstance(response, dict) and name in response:
            answer = response[name]
            if name == "prediction":
                return answer
            if isinstance(answer, list) and _are_named(answer):
                answer = _columns(answer)
            return (isinstance(answer, dict) and _transposed(answer)) or answer
    raise ValueError(f"the response is no list and has none of {', '.join(_ANSWERS)}")


def _outcome(value: Any) -> Any:
    """One prediction out of a list of them."""
    value = _scalar(value)
    if isinstance(value, dict) and ("prediction" in value or len(value) == 1):
        return _outcome(value["prediction"] if "prediction" in value else next(iter(value.values())))
    if isinstance(value, list) and _are_probabilities(value):
        return {str(index): probability for index, probability in enumerate(value)}
    return value


def _are_probabilities(values: list[Any]) -> bool:
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in values):
        return False
    return abs(float(sum(values)) - 1) <= _SUM_TOLERANCE
