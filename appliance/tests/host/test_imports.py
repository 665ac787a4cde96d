"""What runs on the server needs nothing but Python."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import modelward_appliance.host

HERE = Path(modelward_appliance.host.__file__).parent


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: str(path.relative_to(HERE)))
def test_only_the_standard_library_is_imported(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add(node.module or "")
    foreign = {
        name
        for name in imported
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not f"{name}.".startswith("modelward_appliance.host.")
    }
    assert not foreign
