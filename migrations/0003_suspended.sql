-- A deployment that brought the daemon down again and again is not loaded any more, and the others run.
ALTER TABLE deployment DROP COLUMN load_count;
ALTER TABLE deployment ADD COLUMN crash_count integer NOT NULL DEFAULT 0; -- since its last hundred good commits
ALTER TABLE deployment ADD COLUMN suspended text;                         -- why it is not loaded

-- The events that came for it meanwhile, as they came; replayed when it is resumed.
CREATE TABLE held_event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id uuid NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    kind          smallint NOT NULL, -- enum network_event_kind
    dev_eui       text NOT NULL,
    item_id       uuid NOT NULL,
    received_ms   bigint NOT NULL,
    f_port        smallint NOT NULL,
    data          bytea NOT NULL,
    gateways      text NOT NULL      -- "0016c001f1500812,..."
);
CREATE INDEX held_event_deployment ON held_event (deployment_id, id);

ALTER TABLE request DROP CONSTRAINT request_kind_check;
ALTER TABLE request ADD CONSTRAINT request_kind_check CHECK (kind IN ('start', 'abort', 'resume'));
