-- The embedded server's database, version 9 (PRAGMA user_version). Times are Unix seconds. Columns named *_json hold JSON text.
-- Rules: one process writes; readers open their own connections (WAL). Nothing a client was told is stored is ever overwritten silently.

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,           -- also the entity of the user's projects
    email TEXT NOT NULL DEFAULT '',
    admin INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL
);

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE,           -- SHA-256, hex; a key is 40 random characters, so no salt is needed
    description TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    prefix TEXT                          -- its first 8 characters, by which its owner knows it; NULL before version 9
);

-- Logins of the pages. The cookie is the random token, the hash its SHA-256.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,                -- users.name
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    access TEXT NOT NULL DEFAULT 'PRIVATE',
    created_at REAL NOT NULL,
    UNIQUE (entity, name)
);

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    name TEXT NOT NULL,                  -- the eight letters in the URL
    display_name TEXT,
    description TEXT,
    config TEXT NOT NULL,                -- the YAML as the client sent it
    config_json TEXT NOT NULL,           -- the same, parsed: method, metric, parameters, early_terminate, run_cap, ...
    prior_runs_json TEXT NOT NULL DEFAULT '[]',
    method TEXT NOT NULL,                -- grid | random | bayes
    state TEXT NOT NULL,                 -- PENDING RUNNING PAUSED STOPPED FINISHED CANCELED CRASHED
    grid_size INTEGER,                   -- points of the grid, NULL when not a grid
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    heartbeat_at REAL,
    UNIQUE (project_id, name)
);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'RUNNING',
    created_at REAL NOT NULL,
    heartbeat_at REAL NOT NULL,
    stop_reason TEXT                     -- why it gets no more trials, when the server says so
);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    name TEXT NOT NULL,                  -- the run id in the URL
    user_id INTEGER REFERENCES users(id),
    display_name TEXT,
    state TEXT NOT NULL,                 -- pending running finished failed crashed killed preempting preempted
    config_json TEXT NOT NULL DEFAULT '{}',      -- {knob: {"value": ...}, "_wandb": {"value": ...}}
    summary_json TEXT NOT NULL DEFAULT '{}',     -- last (or defined) value of every metric
    tags_json TEXT NOT NULL DEFAULT '[]',
    notes TEXT, description TEXT, group_name TEXT, job_type TEXT, commit_hash TEXT, host TEXT, program TEXT, repo TEXT,
    exit_code INTEGER,
    created_at REAL NOT NULL,
    started_at REAL,                     -- first upsert by the trial itself (a sweep's run is created before its process)
    heartbeat_at REAL,
    ended_at REAL,
    history_lines INTEGER NOT NULL DEFAULT 0,    -- next line number of the history file
    event_lines INTEGER NOT NULL DEFAULT 0,
    log_lines INTEGER NOT NULL DEFAULT 0,
    last_step INTEGER NOT NULL DEFAULT -1,
    inherited_lines INTEGER NOT NULL DEFAULT 0,  -- a fork's first lines are its source's; its own stream counts from there
    stop_requested INTEGER NOT NULL DEFAULT 0,   -- a person, or early stopping, asked the trial to end
    early_stopped INTEGER NOT NULL DEFAULT 0,    -- hyperband asked; the state is then finished, the trial keeps its place
    deleted_at REAL,
    -- the trial's place in its sweep
    sweep_id INTEGER REFERENCES sweeps(id) ON DELETE SET NULL,
    agent_id INTEGER REFERENCES agents(id) ON DELETE SET NULL,
    suggestion_json TEXT,                -- {knob: {"value": ...}} given by the scheduler
    search_json TEXT,                    -- the same point in the sampler's own coordinates (bayes)
    grid_index INTEGER,
    resumed INTEGER NOT NULL DEFAULT 0,  -- how often it was handed out again after it had vanished with its agent
    metric_count INTEGER NOT NULL DEFAULT 0,     -- how often the sweep's metric was logged: hyperband's iterations
    metric_best REAL,                    -- best value of the sweep's metric so far, in the sweep's direction
    UNIQUE (project_id, name)
);
CREATE INDEX runs_by_sweep ON runs(sweep_id);
-- Two agents can never be given one point of a grid.
CREATE UNIQUE INDEX runs_grid ON runs(sweep_id, grid_index) WHERE grid_index IS NOT NULL;
-- Without the heartbeat, which moves with every message and would move the index with it.
CREATE INDEX runs_live ON runs(state) WHERE state IN ('pending', 'running', 'preempting');

-- The sweep's metric when a run logged it for the `iteration`-th time (a hyperband band).
CREATE TABLE bands (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    iteration INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run_id, iteration)
) WITHOUT ROWID;

-- History and system metrics as they came, one JSON object a line. `series` holds the same numbers by metric.
CREATE TABLE history (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    step INTEGER NOT NULL,               -- _step
    data_json TEXT NOT NULL,
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;
CREATE TABLE events (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    data_json TEXT NOT NULL,             -- {"system.cpu": ..., "_runtime": ..., "_timestamp": ...}
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;

-- Numbers by metric, in chunks of lines. Derived from `history` (kind 0) and `events` (kind 1): lines from
-- series_end.line on are still only there. Read through vishwam.server.history.series(), which joins both.
CREATE TABLE series (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,               -- 0 history, 1 events, 2 thinned curves (pages/thinned.py)
    key TEXT NOT NULL,                   -- nested dictionaries are joined by dots
    first_line INTEGER NOT NULL,
    count INTEGER NOT NULL,
    lines BLOB NOT NULL,                 -- int64, little endian: line numbers; empty when they are first_line + 0, 1, 2, ...
    vals BLOB NOT NULL,                  -- float64, little endian; NaN and infinities as such
    PRIMARY KEY (run_id, kind, key, first_line)
) WITHOUT ROWID;
CREATE TABLE series_end (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    line INTEGER NOT NULL,
    PRIMARY KEY (run_id, kind)
) WITHOUT ROWID;

CREATE TABLE console (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    level TEXT NOT NULL DEFAULT '',      -- 'error' for standard error
    timestamp TEXT,                      -- ISO, as sent
    text TEXT NOT NULL,
    PRIMARY KEY (run_id, line)
) WITHOUT ROWID;

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    severity TEXT NOT NULL,
    created_at REAL NOT NULL
);

-- Contents on disk: blobs/<first two of sha256>/<sha256>.
CREATE TABLE blobs (
    sha256 TEXT PRIMARY KEY,
    md5 TEXT NOT NULL,                   -- base64, as the client writes digests
    size INTEGER NOT NULL,
    created_at REAL NOT NULL,
    touched_at REAL NOT NULL DEFAULT 0   -- last time an upload brought or needed it: what is younger than an upload stays
) WITHOUT ROWID;
CREATE INDEX blobs_by_md5 ON blobs(md5);

CREATE TABLE files (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    name TEXT NOT NULL,                  -- relative path, '/' between parts
    sha256 TEXT NOT NULL REFERENCES blobs(sha256),
    updated_at REAL NOT NULL,
    PRIMARY KEY (run_id, name)
) WITHOUT ROWID;

CREATE TABLE artifact_collections (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,                  -- sequence | portfolio
    type TEXT NOT NULL,                  -- model, dataset, ...
    name TEXT NOT NULL,
    description TEXT,
    tags_json TEXT NOT NULL DEFAULT '[]',
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES artifact_collections(id) ON DELETE CASCADE,  -- its source sequence
    version_index INTEGER,               -- NULL until committed
    digest TEXT NOT NULL,
    state TEXT NOT NULL,                 -- PENDING COMMITTED DELETED
    description TEXT,
    metadata_json TEXT,
    tags_json TEXT NOT NULL DEFAULT '[]',
    aliases_json TEXT NOT NULL DEFAULT '[]',     -- asked for; given at commit
    run_id INTEGER REFERENCES runs(id) ON DELETE SET NULL,   -- the run that logged it
    user_id INTEGER REFERENCES users(id),
    client_id TEXT UNIQUE,
    distributed_id TEXT,                 -- shared by the processes that fill one version together
    history_step INTEGER,
    ttl_seconds INTEGER,
    size INTEGER NOT NULL DEFAULT 0,
    file_count INTEGER NOT NULL DEFAULT 0,
    manifest_sha256 TEXT REFERENCES blobs(sha256),
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX artifacts_by_collection ON artifacts(collection_id, version_index);
CREATE INDEX artifacts_by_run ON artifacts(run_id);

-- An artifact's place in a collection: its own sequence, or a portfolio it was linked to.
CREATE TABLE memberships (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES artifact_collections(id) ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    version_index INTEGER NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (collection_id, version_index),
    UNIQUE (collection_id, artifact_id)
);
CREATE TABLE aliases (
    collection_id INTEGER NOT NULL REFERENCES artifact_collections(id) ON DELETE CASCADE,
    alias TEXT NOT NULL,
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    PRIMARY KEY (collection_id, alias)
) WITHOUT ROWID;
-- Manifests of artifacts on their way; PATCH and INCREMENTAL ones are merged with their base at commit.
CREATE TABLE manifests (
    id INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    base_artifact_id INTEGER,
    name TEXT NOT NULL,
    type TEXT NOT NULL,                  -- FULL INCREMENTAL PATCH
    digest TEXT NOT NULL,
    sha256 TEXT REFERENCES blobs(sha256)
);
-- Files of an artifact, from its manifest. sha256 is NULL for references (ref holds the address).
CREATE TABLE artifact_files (
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,                -- base64 MD5 of the content, or the reference's own digest
    size INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT REFERENCES blobs(sha256),
    ref TEXT,
    PRIMARY KEY (artifact_id, path)
) WITHOUT ROWID;
CREATE TABLE artifact_uses (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    used_at REAL NOT NULL,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;
-- Runs that logged contents which another run, artifacts.run_id, had logged before.
CREATE TABLE artifact_logs (
    run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;

-- Reports (type 'runs'), their drafts ('runs/draft') and workspaces.
CREATE TABLE views (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    spec_json TEXT NOT NULL,             -- as the client sent it
    user_id INTEGER REFERENCES users(id),
    parent_id INTEGER,
    locked INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX views_by_project ON views(project_id, type);

-- Specifications of charts that people made; runs and reports name one as "entity/name".
CREATE TABLE custom_charts (
    id INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,                -- users.name
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    type TEXT NOT NULL,                  -- vega2
    access TEXT NOT NULL,                -- PRIVATE | PUBLIC
    spec_json TEXT NOT NULL,             -- as the client sent it
    created_at REAL NOT NULL,
    UNIQUE (entity, name)
);
