"""Speaks the client's protocol by hand: what the tests of the server say when the real client would be too slow."""

import base64
import hashlib
import json
import urllib.error
import urllib.request
from typing import Any

from vishwam.server.local import Address


class Talk:
    """One user of one server."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def request(
        self, method: str, path: str, body: bytes | None = None, key: str | None = "", **headers: str
    ) -> tuple[int, bytes]:
        """Status and body, whatever the status; `key=None` sends none."""
        url = path if path.startswith("http") else self.address.url + path
        request = urllib.request.Request(
            url, body, {name.replace("_", "-"): v for name, v in headers.items()}, method=method
        )
        if key is not None:
            token = base64.b64encode(f"api:{key or self.address.api_key}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def graphql(self, query: str, **variables: Any) -> Any:
        status, body = self.request("POST", "/graphql", json.dumps({"query": query, "variables": variables}).encode())
        reply = json.loads(body)
        assert status == 200 and not reply.get("errors"), reply
        return reply["data"]

    def refused(self, query: str, **variables: Any) -> tuple[int, str]:
        """Status and message of a query that is refused."""
        status, body = self.request("POST", "/graphql", json.dumps({"query": query, "variables": variables}).encode())
        return status, json.loads(body)["errors"][0]["message"]

    def run(self, project: str, name: str, **more: Any) -> dict[str, Any]:
        query = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id name } inserted } }"
        given = {"modelName": project, "name": name, "host": "test", **more}
        return self.graphql(query, input=given)["upsertBucket"]["bucket"]

    def stream(self, project: str, run: str, files: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        body = json.dumps({"files": files or {}, **more}).encode()
        status, reply = self.request("POST", f"/files/local/{project}/{run}/file_stream", body)
        assert status == 200, reply
        return json.loads(reply)

    def upload(self, project: str, run: str, name: str, contents: bytes) -> None:
        """A file of a run, as the client sends it."""
        query = """mutation M($e: String!, $p: String!, $r: String!, $f: [String!]!) { createRunFiles(input: {
        entityName: $e, projectName: $p, runName: $r, files: $f}) { files { uploadUrl } } }"""
        made = self.graphql(query, e=self.address.entity, p=project, r=run, f=[name])["createRunFiles"]["files"]
        status, reply = self.request("PUT", made[0]["uploadUrl"], contents, key=None)
        assert status == 200, reply

    def artifact(
        self, project: str, run: str, name: str, files: dict[str, bytes], base: str | None = None, commit: bool = True,
        extra: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """The id of a version of `files`, over those of `base` when that is given; on its way without `commit`.

        `extra`: entries of the manifest for which nothing is sent.
        """
        md5 = {path: base64.b64encode(hashlib.md5(contents).digest()).decode() for path, contents in files.items()}
        entries: dict[str, Any] = {path: {"digest": md5[path], "size": len(files[path])} for path in files}
        manifest = json.dumps({"version": 1, "contents": entries | (extra or {})}).encode()
        made = self.graphql(
            "mutation M($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id } } }",
            input={
                "entityName": self.address.entity, "projectName": project, "runName": run, "artifactTypeName": "data",
                "artifactCollectionName": name, "digest": hashlib.md5(manifest).hexdigest(),
            },
        )["createArtifact"]["artifact"]["id"]  # fmt: skip
        sent = self.graphql(
            "mutation M($input: CreateArtifactManifestInput!) { createArtifactManifest(input: $input) "
            "{ artifactManifest { id file { uploadUrl } } } }",
            input={
                "artifactID": made, "name": "wandb_manifest.json", "digest": "", "entityName": self.address.entity,
                "projectName": project, "runName": run, "baseArtifactID": base,
                "type": "INCREMENTAL" if base else "FULL",
            },
        )["createArtifactManifest"]["artifactManifest"]  # fmt: skip
        asked = self.graphql(
            "mutation M($input: CreateArtifactFilesInput!) { createArtifactFiles(input: $input) "
            "{ files { edges { node { name uploadUrl } } } } }",
            input={"artifactFiles": [{"artifactID": made, "name": path, "md5": md5[path]} for path in files],
                   "storageLayout": "V2"},
        )["createArtifactFiles"]["files"]["edges"]  # fmt: skip
        for node in (edge["node"] for edge in asked):
            if node["uploadUrl"]:
                given = {"Content_MD5": md5[node["name"]]}
                assert self.request("PUT", node["uploadUrl"], files[node["name"]], key=None, **given)[0] == 200
        assert self.request("PUT", sent["file"]["uploadUrl"], manifest, key=None)[0] == 200
        if commit:
            self.commit(made)
        return made

    def commit(self, artifact: str) -> None:
        self.graphql(
            "mutation M($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }", id=artifact
        )

    def sweep(self, project: str, config: dict[str, Any]) -> dict[str, Any]:
        query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { id name state } } }"
        return self.graphql(query, input={"projectName": project, "config": json.dumps(config)})["upsertSweep"]["sweep"]

    def agent(self, project: str, sweep: str) -> str:
        query = "mutation M($input: CreateAgentInput!) { createAgent(input: $input) { agent { id } } }"
        return self.graphql(query, input={"host": "h", "projectName": project, "sweep": sweep})["createAgent"]["agent"][
            "id"
        ]

    def heartbeat(self, agent: str, *alive: str) -> list[dict[str, Any]]:
        query = "mutation M($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) { commands } }"
        state = json.dumps(dict.fromkeys(alive, True))
        return json.loads(self.graphql(query, input={"id": agent, "runState": state})["agentHeartbeat"]["commands"])

    def trial(self, project: str, agent: str, metric: str | None = None, value: float = 0.0) -> dict[str, Any] | None:
        """Claims a trial and runs it to its end; None when there is none to claim."""
        commands = self.heartbeat(agent)
        if not commands or commands[0]["type"] != "run":
            return None
        name = commands[0]["run_id"]
        self.run(project, name)
        self.heartbeat(agent, name)
        rows = [json.dumps({"_step": 0, metric: value})] if metric else []
        self.stream(
            project, name, {"wandb-history.jsonl": {"offset": 0, "content": rows}}, complete=True, exitcode=0
        )  # fmt: skip
        return commands[0]

    def state(self, project: str, sweep: str) -> str:
        query = "query Q($p: String!, $s: String!) { project(name: $p) { sweep(sweepName: $s) { state } } }"
        return self.graphql(query, p=project, s=sweep)["project"]["sweep"]["state"]
