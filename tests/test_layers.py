"""The layers: cli, serve, cluster, bench -> synth | recog | eval -> models, runtime -> kernels -> types, errors, limits, _core."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOUNDATION = {"errors", "limits", "types", "_core", "__version__"}
MAY_IMPORT = {
    "kernels": set(),
    "runtime": {"kernels"},
    "models": {"kernels", "runtime"},
    "synth": {"kernels", "runtime", "models"},
    "recog": {"kernels", "runtime", "models"},
    "eval": {"kernels", "runtime", "models"},
    "cluster": {"kernels", "runtime", "models", "synth", "recog", "eval"},
    "serve": {"kernels", "runtime", "models", "synth", "recog", "eval"},
    "bench": {"kernels", "runtime", "models", "synth", "recog", "eval"},
    "cli": {"kernels", "runtime", "models", "synth", "recog", "eval", "cluster", "serve", "bench"},
}
FORBIDDEN_OUTSIDE = {
    "torch": {"models"},
    "av": {"recog"},
    "cv2": {"bench"},
    "skimage": {"bench"},
    "scipy": {"bench"},
    "pickle": set(),
    "typer": {"cli"},
    "rich": {"cli"},
}


def files():
    for folder in (ROOT / "mie_engine", ROOT / "kernels"):
        for path in sorted(folder.rglob("*.py")):
            if not (folder.name == "mie_engine" and path.relative_to(folder).parts[0] == "kernels"):
                yield path


def module_of(path):
    if path.is_relative_to(ROOT / "kernels"):
        return ("mie_engine", "kernels", *path.relative_to(ROOT / "kernels").with_suffix("").parts)
    return ("mie_engine", *path.relative_to(ROOT / "mie_engine").with_suffix("").parts)


def imports(path):
    """Absolute dotted names that a file imports, wherever in it."""
    module = module_of(path)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                base = module[: len(module) - node.level] + base
            yield from ((*base, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", list(files()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    module = module_of(path)
    layer = module[1]
    for name in imports(path):
        if name[0] == "mie_engine" and len(name) > 1 and layer in MAY_IMPORT:
            allowed = MAY_IMPORT[layer] | FOUNDATION | {layer}
            assert name[1] in allowed, f"{'.'.join(module)} imports {'.'.join(name)}; {layer} may import {sorted(allowed)}"
        if name[0] in FORBIDDEN_OUTSIDE:
            assert layer in FORBIDDEN_OUTSIDE[name[0]], f"{'.'.join(module)} imports {name[0]}"


def test_files_stay_small():
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in files()}
    for pattern in ("csrc/**/*.cc", "csrc/**/*.h", "kernels/**/*.cc", "kernels/**/*.h"):
        sizes |= {path: len(path.read_text("utf-8").splitlines()) for path in ROOT.glob(pattern)}
    assert max(sizes.values()) <= 500, [str(p) for p, n in sizes.items() if n > 500]
    assert sorted(sizes.values())[len(sizes) // 2] <= 150


def test_native_layers():
    for path in [*ROOT.glob("csrc/src/*"), *ROOT.glob("kernels/**/*.cc"), *ROOT.glob("kernels/**/*.h")]:
        text = path.read_text("utf-8")
        assert "pybind11" not in text, f"{path}: Python belongs in csrc/bind"
        if path.is_relative_to(ROOT / "kernels"):
            assert "csrc/" not in text, f"{path}: kernels know nothing of the runtime above them"
