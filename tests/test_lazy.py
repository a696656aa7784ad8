"""Faces: what a package exports is the same wherever it stands, is there, and is imported only when asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "vsr"
FACES = sorted(
    path for path in ROOT.rglob("__init__.py") if "lazy_exports(" in path.read_text(encoding="utf-8")
)


def name_of(face: Path) -> str:
    return ".".join(face.parent.relative_to(ROOT.parent).parts)


def exports(face: Path) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """By name the module that it comes from: for type checkers, and when it runs; then `__all__`, if any."""
    typed, lazy, listed = {}, {}, []
    for node in ast.walk(ast.parse(face.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed = {alias.name: inner.module for inner in node.body for alias in inner.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_exports":
            places = ast.literal_eval(node.args[1])
            lazy = {name: f"{name_of(face)}.{place}" for place in places for name in places[place].split()}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)
    return typed, lazy, listed


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_what_a_face_exports_is_the_same_everywhere_and_is_there(face: Path):
    typed, lazy, listed = exports(face)
    assert typed == lazy
    assert not listed or set(listed) == set(lazy)
    package = import_module(name_of(face))
    for name in lazy:
        assert getattr(package, name) is getattr(import_module(lazy[name]), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_face_exports_no_name_that_one_of_its_modules_has(face: Path):
    """Importing the module would put it in the name's place."""
    beside = {path.stem for path in face.parent.iterdir()}
    assert not beside & set(exports(face)[1])


def test_faces_import_neither_torch_nor_opencv():
    code = f"import sys, {', '.join(map(name_of, FACES))}; assert not {{'torch', 'cv2', 'av'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
