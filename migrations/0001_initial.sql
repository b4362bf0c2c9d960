-- The first schema. Applied by the daemon at start, in schema fuotad, inside one transaction, under a lock.
-- Times are timestamptz of the real clock (`*_at`); protocol times are Unix milliseconds in bigint (`*_ms`).

CREATE TABLE image (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    version      text NOT NULL,
    hardware     text NOT NULL DEFAULT '',
    base_version text NOT NULL DEFAULT '',
    sha256       bytea NOT NULL,
    size         integer NOT NULL CHECK (size > 0),
    data         bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version, hardware)
);

CREATE TABLE deployment (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    state          text NOT NULL DEFAULT 'draft'
                   CHECK (state IN ('draft', 'scheduled', 'running', 'completed', 'partial', 'failed', 'aborted')),
    image_id       uuid NOT NULL REFERENCES image (id),
    application_id uuid NOT NULL,
    wish           jsonb NOT NULL,          -- what the operator asked for
    params         jsonb,                   -- what was fixed at the start (deployment/params.h)
    problems       jsonb NOT NULL DEFAULT '[]', -- of the last preflight
    device_count   integer NOT NULL,
    load_count     integer NOT NULL DEFAULT 0, -- loads since the last hundred good commits
    start_at       timestamptz,             -- wished
    created_at     timestamptz NOT NULL DEFAULT now(),
    started_at     timestamptz,
    finished_at    timestamptz
);
CREATE INDEX deployment_state ON deployment (state);

-- One multicast group and one block. Columns beyond the ids mirror `struct transmission` (deployment/deployment.h).
CREATE TABLE transmission (
    deployment_id      uuid PRIMARY KEY REFERENCES deployment (id) ON DELETE CASCADE,
    mc_key_id          text NOT NULL,       -- which seal key
    mc_key_sealed      bytea NOT NULL,
    state              text NOT NULL,
    group_id           uuid NOT NULL,
    has_group          boolean NOT NULL,
    has_gateways       boolean NOT NULL,
    is_aborted         boolean NOT NULL,
    has_status_request boolean NOT NULL,
    is_unicast_status  boolean NOT NULL,
    started_ms         bigint NOT NULL,
    session_time_ms    bigint NOT NULL,
    deadline_ms        bigint NOT NULL,
    next_emission_ms   bigint NOT NULL,
    f_cnt              bigint NOT NULL,
    frame_count        bigint NOT NULL,
    next_number        integer NOT NULL,
    last_number        integer NOT NULL,
    probe_round        integer NOT NULL,
    failure_count      integer NOT NULL,
    frame_kind         integer NOT NULL,
    frame_call         integer NOT NULL,
    frame_emission_ms  bigint NOT NULL,
    clean_index        bigint NOT NULL,
    gateways           text NOT NULL        -- "0016c001f1500812*,..." a star: on the group
);

-- One device of a deployment. Columns mirror `struct device`.
CREATE TABLE deployment_device (
    deployment_id     uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    device_index      integer NOT NULL,
    dev_eui           text NOT NULL,
    lorawan_version   smallint NOT NULL DEFAULT 0, -- enum lorawan_version: which root key
    deadline_ms       bigint NOT NULL DEFAULT 9223372036854775807,
    last_uplink_ms    bigint NOT NULL DEFAULT 0,
    sent_ms           bigint NOT NULL DEFAULT 0,
    item_id           uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    uplink_interval_s bigint NOT NULL DEFAULT 3600,
    status_frame      bigint NOT NULL DEFAULT 0,
    received_count    integer NOT NULL DEFAULT 0,
    gateways          integer NOT NULL DEFAULT 0,
    missing_count     integer NOT NULL DEFAULT 0,
    stage             text NOT NULL DEFAULT 'version',
    reason            text NOT NULL DEFAULT 'none',
    reason_bits       integer NOT NULL DEFAULT 0,
    call              integer NOT NULL DEFAULT 0,
    command           integer NOT NULL DEFAULT 0,
    flags             integer NOT NULL DEFAULT 0,
    sent_count        integer NOT NULL DEFAULT 0,
    unsent_count      integer NOT NULL DEFAULT 0,
    call_failures     integer NOT NULL DEFAULT 0,
    resync_count      integer NOT NULL DEFAULT 0,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment_id, device_index),
    UNIQUE (deployment_id, dev_eui)
) WITH (fillfactor = 70);
CREATE INDEX deployment_device_dev_eui ON deployment_device (dev_eui);

-- Every multicast frame, committed before the call that queues it.
CREATE TABLE frame (
    deployment_id uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    f_cnt         bigint NOT NULL,
    kind          smallint NOT NULL, -- enum frame_kind
    number        integer NOT NULL,  -- N; 0 for a status request
    planned_ms    bigint NOT NULL,   -- planned emission
    PRIMARY KEY (deployment_id, f_cnt, number)
);

-- The timeline of devices and transmissions.
CREATE TABLE event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    dev_eui       text, -- NULL: about the transmission
    at_ms         bigint NOT NULL,
    kind          text NOT NULL,
    text          text NOT NULL,
    value         bigint NOT NULL,
    detail        bigint NOT NULL
);
CREATE INDEX event_dev_eui ON event (dev_eui, id);

-- Wishes of operators to running deployments, carried out as events.
CREATE TABLE request (
    id            uuid PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('start', 'abort')),
    deployment_id uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
    detail        text,
    problems      jsonb NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT now(),
    done_at       timestamptz
);
CREATE INDEX request_open ON request (created_at) WHERE state = 'open';

-- What is known of a device beyond one deployment.
CREATE TABLE known_device (
    dev_eui               text PRIMARY KEY,
    fragmentation_version smallint,         -- from PackageVersionAns
    updated_at            timestamptz NOT NULL DEFAULT now()
);

-- AppTimeReq that were answered: never twice.
CREATE TABLE clock_answer (
    dev_eui    text PRIMARY KEY,
    f_cnt      bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_token (
    sha256     bytea PRIMARY KEY,
    name       text NOT NULL,
    access     text NOT NULL CHECK (access IN ('read', 'write')),
    created_at timestamptz NOT NULL DEFAULT now()
);
