"""Artifacts through the real client: versions, aliases, de-duplication, use, download, links, deletion."""

from tests.conformance.conftest import Script


def test_an_artifacts_life(script: Script) -> None:
    seen = script(
        """
        import os, pathlib, wandb
        folder = pathlib.Path("model")
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "weights").write_bytes(os.urandom(300_000))
        versions = []
        def log(run, text, aliases):
            (folder / "note.txt").write_text(text)
            artifact = wandb.Artifact("checkpoint-1", "model", metadata={"text": text})
            artifact.add_dir(str(folder))
            logged = run.log_artifact(artifact, aliases=aliases)
            logged.wait()
            versions.append([logged.version, sorted(logged.aliases)])
        with wandb.init(project="artifacts", id="maker") as run:
            log(run, "one", ["best", "step-1"])
            log(run, "two", ["best", "step-2"])
            log(run, "two", ["again"])
        with wandb.init(project="artifacts", id="user") as run:
            best = run.use_artifact("checkpoint-1:best")
            got = pathlib.Path(best.download("got"))
            first = run.use_artifact("checkpoint-1:v0")
            entry = pathlib.Path(first.get_entry("note.txt").download("one")).read_text()
        api = wandb.Api()
        latest = api.artifact("local/artifacts/checkpoint-1:latest")
        latest.aliases.append("production")
        latest.description = "words"
        latest.metadata["more"] = 3
        latest.save()
        again = api.artifact("local/artifacts/checkpoint-1:production")
        latest.link("local/artifacts/released")
        api.artifact("local/artifacts/checkpoint-1:v0").delete(delete_aliases=True)
        result(
            versions=versions, note=(got / "note.txt").read_text(), entry=entry,
            same=(got / "inner" / "weights").read_bytes() == (folder / "inner" / "weights").read_bytes(),
            description=again.description, metadata=again.metadata, aliases=sorted(again.aliases),
            made_by=again.logged_by().id, used_by=[run.id for run in again.used_by()],
            logged=[a.name for a in api.run("local/artifacts/maker").logged_artifacts()],
            used=[a.name for a in api.run("local/artifacts/user").used_artifacts()],
            linked=api.artifact("local/artifacts/released:v0").digest == again.digest,
            left=[a.version for a in api.artifacts("model", "local/artifacts/checkpoint-1")],
            exists=[api.artifact_exists(f"local/artifacts/checkpoint-1:{alias}") for alias in ("v0", "v1", "nope")],
        )
        """
    )
    assert seen["versions"] == [
        ["v0", ["best", "latest", "step-1"]],
        ["v1", ["best", "latest", "step-2"]],
        ["v1", ["again", "best", "latest", "step-2"]],
    ]
    assert seen["note"] == "two" and seen["entry"] == "one" and seen["same"]
    assert seen["description"] == "words" and seen["metadata"] == {"text": "two", "more": 3}
    assert "production" in seen["aliases"] and seen["linked"]
    assert seen["made_by"] == "maker" and seen["used_by"] == ["user"]
    assert seen["logged"] == ["checkpoint-1:v1"], "the deleted version is no longer listed"
    assert seen["used"] == ["checkpoint-1:v1"]
    assert seen["left"] == ["v1"] and seen["exists"] == [False, True, False]


def test_contents_are_stored_once_and_incremental_versions_keep_the_rest(script: Script) -> None:
    seen = script(
        """
        import pathlib, wandb
        pathlib.Path("a").write_text("a"); pathlib.Path("b").write_text("b")
        with wandb.init(project="incremental") as run:
            first = wandb.Artifact("set", "dataset")
            first.add_file("a")
            first.add_reference("http://127.0.0.1:9/x", checksum=False)
            run.log_artifact(first).wait()
            draft = run.use_artifact("set:latest").new_draft()
            draft.add_file("b")
            run.log_artifact(draft).wait()
            second = run.use_artifact("set:latest")
            result(version=second.version, entries=sorted(second.manifest.entries))
            second.get_entry("a").download("got")
            result(a=pathlib.Path("got/a").read_text())
        """
    )
    assert seen == {"version": "v1", "entries": ["a", "b", "x"], "a": "a"}


def test_collections_are_renamed_moved_tagged_unlinked_and_deleted(script: Script) -> None:
    seen = script(
        """
        import pathlib, wandb
        from datetime import timedelta
        for number in range(2):
            pathlib.Path("a").write_text(str(number))
            with wandb.init(project="collections") as run:
                artifact = wandb.Artifact("raw", "dataset")
                artifact.add_file("a")
                run.log_artifact(artifact, tags=["first"]).wait()
        api = wandb.Api()
        newest = api.artifact("local/collections/raw:latest")
        newest.tags.append("second")
        newest.ttl = timedelta(days=30)
        newest.save()
        for version in ("v0", "v1"):
            linked = api.artifact(f"local/collections/raw:{version}")
            linked.link("local/collections/released", aliases=[f"from-{version}"])
        collection = api.artifact_collection("dataset", "local/collections/raw")
        collection.name, collection.type, collection.description = "clean", "corpus", "words"
        collection.tags = ["checked", "public"]
        collection.save()
        collection = wandb.Api().artifact_collection("corpus", "local/collections/clean")
        collection.tags = ["public"]
        collection.save()
        api = wandb.Api()
        moved = api.artifact("local/collections/clean:v1")
        result(
            version=[moved.type, moved.tags, moved.ttl.days], collection=[
            collection.description, api.artifact_collection("corpus", "local/collections/clean").tags],
            types=[found.name for found in api.artifact_types("local/collections")],
        )
        released = api.artifact("local/collections/released:latest")
        before = released.version
        released.unlink()
        api = wandb.Api()
        result(
            released=[before, api.artifact("local/collections/released:latest").aliases],
            gone=api.artifact_exists("local/collections/released:from-v1"),
            kept=api.artifact_exists("local/collections/clean:v1"),
        )
        api.artifact_collection("corpus", "local/collections/clean").delete()
        api = wandb.Api()
        left = [api.artifact_collection_exists(f"local/collections/{name}", "corpus") for name in ("clean", "released")]
        result(left=left, linked=list(api.artifacts("corpus", "local/collections/released")) if left[1] else [])
        """
    )
    assert seen["version"] == ["corpus", ["first", "second"], 30]
    assert seen["collection"] == ["words", ["public"]] and seen["types"] == ["corpus"]
    assert seen["released"] == ["v1", ["from-v0", "latest"]]
    assert (seen["gone"], seen["kept"]) == (False, True)
    assert seen["left"] == [False, True] and seen["linked"] == [], "a link ends with what it led to"


def test_many_processes_fill_one_artifact_and_references_come_back(script: Script) -> None:
    seen = script(
        """
        import pathlib, wandb
        for name in ("a", "b"):
            pathlib.Path(name).write_text(name)
            with wandb.init(project="together", group="g") as run:
                part = wandb.Artifact("parts", "dataset")
                part.add_file(name)
                run.upsert_artifact(part)
        pathlib.Path("kept").write_text("elsewhere")
        with wandb.init(project="together", group="g", id="last") as run:
            part = wandb.Artifact("parts", "dataset")
            part.add_reference(pathlib.Path("kept").resolve().as_uri())
            run.finish_artifact(part)
        artifact = wandb.Api().artifact("local/together/parts:latest")
        got = pathlib.Path(artifact.download("got"))
        result(version=artifact.version, entries=sorted(artifact.manifest.entries),
               contents=sorted(path.read_text() for path in got.iterdir()))
        # The same contents logged by another run are the same version, which both runs show.
        with wandb.init(project="together", id="again") as run:
            same = wandb.Artifact("single", "dataset")
            same.add_file("a")
            run.log_artifact(same).wait()
        with wandb.init(project="together", id="once-more") as run:
            same = wandb.Artifact("single", "dataset")
            same.add_file("a")
            run.log_artifact(same).wait()
        runs = [wandb.Api().run(f"local/together/{name}") for name in ("again", "once-more")]
        result(logged=[[artifact.name for artifact in run.logged_artifacts()] for run in runs])
        """
    )
    assert seen["version"] == "v0" and seen["entries"] == ["a", "b", "kept"]
    assert seen["contents"] == ["a", "b", "elsewhere"]
    assert seen["logged"] == [["single:v0"], ["single:v0"]]
