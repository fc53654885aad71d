"""A measurement's rows: what, how much, what it must be, and whether it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    what: str
    value: float | None
    """None: could not be measured."""
    unit: str = ""
    limit: float | None = None
    """The promise, if there is one."""
    at_least: bool = False
    """The promise is a minimum."""

    @property
    def kept(self) -> bool | None:
        if self.limit is None:
            return None
        if self.value is None:
            return False
        return bool(self.value >= self.limit if self.at_least else abs(self.value) <= self.limit)


def table(rows: Sequence[Row]) -> str:
    width = max(len(row.what) for row in rows)
    return "\n".join(f"{row.what:<{width}}  {_value(row):>12}  {_promise(row)}".rstrip() for row in rows)


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) | {"kept": row.kept} for row in rows], indent=1)


def _value(row: Row) -> str:
    return "not measured" if row.value is None else f"{row.value:.6g} {row.unit}".rstrip()


def _promise(row: Row) -> str:
    if row.limit is None:
        return ""
    sign = ">=" if row.at_least else "<="
    return f"{sign} {row.limit:g} {row.unit}".rstrip() + ("" if row.kept else "   MISSED")
