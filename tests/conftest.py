"""One real embedded server for the whole test session, and the environment that points the real client at it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vishwam.server import local
from vishwam.server.local import Address

# What takes longest begins first, so that no worker is left alone with it at the end. Trials of tests/test_trial.py
# come later and read the programs that those of tests/test_launch.py compiled.
LONGEST = ("tests/test_launch.py", "tests/training/", "tests/model/", "tests/conformance/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server of its own process on a free port; tests keep apart by projects of their own."""
    folder = tmp_path_factory.mktemp("server")
    yield local.start_or_reuse(folder, port=local.free_port())
    local.stop(folder)


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """For many small programs whose numbers are looked at: LLVM leaves out what would make them faster, and takes half
    the time.
    """
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def compiled_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compile cache that trials of several tests may share, so that the same programs are compiled once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    folder.mkdir(exist_ok=True)
    return folder


def wandb_env(address: Address, tmp: Path, **extra: str) -> dict[str, str]:
    """The environment of a client of `address` that neither reads nor touches the user's own settings and folders."""
    home = tmp / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "VISHWAM_"))}
    return {
        **kept,
        "HOME": str(home),
        "NETRC": str(home / "netrc"),
        "WANDB_BASE_URL": address.url,
        "WANDB_API_KEY": address.api_key,
        "WANDB_ENTITY": address.entity,
        "WANDB_DIR": str(tmp),
        "WANDB_CACHE_DIR": str(tmp / "cache"),
        "WANDB_CONFIG_DIR": str(tmp / "config"),
        "WANDB_DATA_DIR": str(tmp / "data"),
        "WANDB_ARTIFACT_DIR": str(tmp / "artifacts"),
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "wrap",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        "WANDB_AGENT_DISABLE_FLAPPING": "true",
        **extra,
    }


@pytest.fixture
def client_env(server: Address, tmp_path: Path) -> dict[str, str]:
    """`wandb_env` for the session's server, in a folder of this test."""
    return wandb_env(server, tmp_path)
