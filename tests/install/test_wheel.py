"""What `pip install` brings: built from the sources as users do, looked into, and run away from the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    package = [name for name in names if name.startswith("mie_engine/")]
    assert all(name.startswith("mie_engine/") or ".dist-info/" in name for name in names), "no top-level `kernels` package"
    assert not [name for name in names if name.endswith((".cc", ".h", ".cu"))]
    for wanted in (
        "kernels/render/ref.py",
        "py.typed",
        "assets/models/manifest.json",
        "assets/faces/syn000.jpg",
        "assets/au_priors.json",
        "_core.pyi",
    ):
        assert f"mie_engine/{wanted}" in package, wanted
    assert any(name.startswith("mie_engine/_core.") and name.endswith(".so") for name in package)
    licences = [name for name in names if "licences/" in name]
    assert {Path(name).name for name in licences} >= {"MediaPipe-Apache-2.0.txt", "ICT-FaceKit-MIT.txt", "SFHQ-MIT.txt"}


@pytest.mark.slow
def test_installed_package_runs(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)], check=True)
    code = (
        "import sys, mie_engine as mie; assert mie.__file__.startswith(sys.argv[1]);"
        "face = mie.Face.load(sys.argv[1] + '/mie_engine/assets/faces/syn004.jpg', size=64);"
        "clip = mie.render(face, {'AU12': .3}, frames=4); assert clip.frames.shape == (4, 64, 64, 3) and 'torch' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", code, str(site)], check=True, cwd=tmp_path, env=environment)
