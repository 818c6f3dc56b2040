"""`vishwam prepare` as a person types it, to the embedded server, read back by the real client."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

READ = """
import json, wandb
api = wandb.Api()
[run] = api.runs("prepared")
artifact = api.artifact("prepared/modules:latest", type="dataset")
folder = artifact.download("down")
print("RESULT " + json.dumps({
    "version": artifact.version,
    "card": artifact.description,
    "config": run.config,
    "job_type": run.job_type,
    "files": sorted(artifact.manifest.entries),
    "rows": artifact.get("samples").data,
}))
"""


def test_the_artifact_has_the_data_the_card_and_samples(tmp_path, client_env):
    client_env |= {"WANDB_PROJECT": "prepared", "VISHWAM_HOME": str(tmp_path / "home")}
    arguments = ["prepare", str(ROOT / "gin/modules.gin"), "seed=4", "--count", "300", "--held-out", "6"]
    done = subprocess.run(
        [sys.executable, "-m", "vishwam.cli", *arguments, "--processes", "1"],
        cwd=ROOT, env=client_env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "home" / "datasets" / "modules"
    assert f"{folder}: train 300, validation 48, interpolate 48, extrapolate" in done.stdout
    read = subprocess.run(
        [sys.executable, "-c", READ], cwd=tmp_path, env=client_env, capture_output=True, text=True, timeout=60
    )
    assert read.returncode == 0, read.stderr
    result = json.loads(read.stdout.partition("RESULT ")[2])
    assert result["job_type"] == "prepare" and result["version"] == "v0"
    assert result["card"] == (folder / "README.md").read_text()
    assert result["config"]["seed"] == 4 and result["config"]["data"]["splits"]["train"] == 300
    assert result["config"]["leaks"]["train"]["documents"] == 300
    assert ["train", "numbers__gcd"] in [row[:2] for row in result["rows"]]
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".progress"):
            assert name in result["files"]
            assert (tmp_path / "down" / name).read_bytes() == path.read_bytes()
    assert not [name for name in result["files"] if ".progress" in name]
