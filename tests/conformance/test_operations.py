"""Every operation that the installed client can send is one the server knows, or is listed here as out of scope."""

import re

import graphql
import pytest

from tests.conformance import operations
from vishwam.server import app  # noqa: F401 - attaches every resolver
from vishwam.server.graphql import schema

OUT_OF_SCOPE = {
    "launch": "ackRunQueueItem createLaunchAgent CreateDefaultResourceConfig CreateRunQueue DeleteFromRunQueue "
    "DeleteRunQueue failRunQueueItem fetchRunQueuesFromProject GetDefaultResourceConfig GetRunQueueItem "
    "GetRunQueueItems GetRunQueueMetadata LaunchAgent popFromRunQueue ProjectRunQueues pushToRunQueue "
    "pushToRunQueueByName updateLaunchAgent updateRunQueueItemWarning UpsertRunQueue",
    "registry": "CreateRegistryMembers DeleteRegistry DeleteRegistryMembers FetchAdvancedRegistryFeatures "
    "FetchRegistries FetchRegistry RegistryCollections RegistryTeamMembers RegistryUserMembers RegistryVersions "
    "RenameRegistry UpdateTeamRegistryRole UpdateUserRegistryRole UpsertRegistry",
    "teams and keys": "CreateInvite CreateServiceAccount CreateTeam CreateUserFromAdmin DeleteApiKey DeleteInvite "
    "GenerateApiKey",
    "automations": "CreateAutomation CreateGenericWebhookIntegration DeleteAutomation GetAutomationsLegacy "
    "GetEntityAutomations GetEntityAutomationsLegacy GetOrgAutomations IntegrationsByEntity UpdateAutomation",
    "report sharing": "createAccessToken revokeAccessToken updateAccessTokenProjects ViewAccessTokens",
    "sweeps scheduled by the client itself": "EnqueueSweepRun",
}  # fmt: skip
_LISTED = {name for names in OUT_OF_SCOPE.values() for name in names.split()}
# Templates in the source; `operations.assembled` has what becomes of them.
_TEMPLATES = {
    ("wandb/apis/public/runs.py", "RunFullHistory"),
    ("wandb/sdk/artifacts/_gqlutils.py", "UseArtifact"),
    ("wandb/apis/public/runs.py", "Runs"),
    ("wandb/apis/public/runs.py", "Run"),
    ("wandb/apis/public/files.py", "RunFiles"),
}


def _documents() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text in operations.from_binary():
        found.setdefault(name, []).append(("wandb-core", text))
    for package in ("wandb", "wandb_workspaces"):
        for path, name, text in operations.from_python(package):
            if (path, name) not in _TEMPLATES:
                found.setdefault(name, []).append((path, text.replace("_PROJECT_QUERY_", "")))
    for path, name, text in operations.assembled():
        found.setdefault(name, []).append((path, text))
    return found


DOCUMENTS = _documents()
_RULES = [rule for rule in graphql.specified_rules if rule is not graphql.NoUnusedVariablesRule]


def test_the_collection_is_not_empty() -> None:
    assert {"UpsertBucket", "Heartbeat", "CreateArtifact", "upsertView", "GetSweep", "RunResumeStatus"} <= set(
        DOCUMENTS
    )
    assert len(DOCUMENTS) > 100


def test_no_operation_of_the_client_escapes_the_collection() -> None:
    found = operations.names_anywhere("wandb") | operations.names_anywhere("wandb_workspaces")
    assert sorted(found - set(DOCUMENTS)) == []
    for _, name in _TEMPLATES:
        assert name in DOCUMENTS


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - _LISTED))
def test_the_server_accepts(name: str) -> None:
    for path, text in DOCUMENTS[name]:
        errors = graphql.validate(schema(), graphql.parse(text), _RULES)
        assert not errors, f"{path}: {name}: {errors[0].message}"


def test_nothing_is_listed_that_the_client_no_longer_sends() -> None:
    assert sorted(_LISTED - set(DOCUMENTS)) == []


def test_fields_that_take_arguments_or_lead_to_objects_are_built() -> None:
    """A field of the schema without a resolver answers null for ever; only parts of a reply may lack one."""
    from vishwam.server import graphql as server

    parts = re.compile(r"(Connection|Edge|Payload|ServerInfo|UploadMultipartUrls|ArtifactManifest)$")
    allowed = {"Query.organization", "Entity.organization", "Organization.orgEntity", "Organization.featureFlags",
               "File.uploadMultipartUrls", "File.artifact"}  # fmt: skip
    missing = [
        f"{type_name}.{field_name}"
        for type_name, type_ in schema().type_map.items()
        if graphql.is_object_type(type_) and not type_name.startswith("__") and not parts.search(type_name)
        for field_name, field in type_.fields.items()  # type: ignore[attr-defined]
        if f"{type_name}.{field_name}" not in server._RESOLVERS
        and (field.args or not graphql.is_leaf_type(graphql.get_named_type(field.type)))
    ]
    assert sorted(set(missing) - allowed) == []
