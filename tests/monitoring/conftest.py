"""A driver for tests: `fake_nvml.c`, built with the system's compiler."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")


@pytest.fixture(scope="session")
def build_nvml(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Path of a fake `libnvidia-ml.so.1`, built with these further flags."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the fake driver with")
    built: dict[tuple[str, ...], str] = {}

    def build(*flags: str) -> str:
        if flags not in built:
            path = tmp_path_factory.mktemp("driver") / "libnvidia-ml.so.1"
            soname = "-Wl,-soname,libnvidia-ml.so.1"
            subprocess.run([compiler, "-shared", "-fPIC", soname, *flags, "-o", path, SOURCE], check=True)
            built[flags] = str(path)
        return built[flags]

    return build


@pytest.fixture
def nvml(build_nvml: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The fake driver's path; `$FAKE_NVML` says how it behaves."""
    for name in ("CUDA_VISIBLE_DEVICES", "FAKE_NVML"):
        monkeypatch.delenv(name, raising=False)
    return build_nvml()
