-- Rounds of new fragments until every device has finished, in as many class C sessions as they need, further passes for
-- devices that coded fragments alone cannot help, and a pause by the operator.

ALTER TABLE transmission RENAME COLUMN probe_round TO round;
ALTER TABLE transmission
    ADD COLUMN setup_started_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN last_session_ms  bigint NOT NULL DEFAULT 0,     -- the SessionTime before
    ADD COLUMN time_out         integer NOT NULL DEFAULT 0,     -- of the present session
    ADD COLUMN asked_number     integer NOT NULL DEFAULT 0,     -- fragments sent before the latest status request
    ADD COLUMN status_until_ms  bigint NOT NULL DEFAULT 0,
    ADD COLUMN session_number   integer NOT NULL DEFAULT 1,
    ADD COLUMN repair_number    integer NOT NULL DEFAULT 0,
    ADD COLUMN repeat_count     integer NOT NULL DEFAULT 1,
    ADD COLUMN repeat_index     integer NOT NULL DEFAULT 0,
    ADD COLUMN is_paused        boolean NOT NULL DEFAULT false,
    ADD COLUMN paused_ms        bigint NOT NULL DEFAULT 0;

ALTER TABLE deployment_device RENAME COLUMN status_frame TO counted_at;
ALTER TABLE deployment_device ALTER COLUMN counted_at TYPE integer;
ALTER TABLE deployment_device
    ADD COLUMN same_since  integer NOT NULL DEFAULT 0,
    ADD COLUMN loss        integer NOT NULL DEFAULT 0,
    ADD COLUMN alone_count integer NOT NULL DEFAULT 0;

-- What runs already goes on as it was begun: one pass, one session, the six further batches that it may have had.
UPDATE transmission t SET round = t.round + 1, setup_started_ms = t.started_ms, time_out = (d.params->>'time_out')::integer,
    session_number = CASE WHEN t.state = 'create_group' THEN 0 ELSE 1 END, asked_number = t.next_number - 1,
    has_status_request = t.has_status_request AND t.state = 'status',
    status_until_ms = CASE WHEN t.deadline_ms < 253402300799999 THEN t.deadline_ms ELSE 0 END
    FROM deployment d WHERE d.id = t.deployment_id AND d.params IS NOT NULL;
UPDATE deployment_device SET same_since = counted_at;
UPDATE deployment SET params = params || '{"rounds_max": 7, "sessions_max": 1, "repairs_max": 0, "frames_max": 0, "time_limit_ms": 0}'
    WHERE params IS NOT NULL;

ALTER TABLE request DROP CONSTRAINT request_kind_check;
ALTER TABLE request ADD CONSTRAINT request_kind_check CHECK (kind IN ('start', 'abort', 'pause', 'resume'));
