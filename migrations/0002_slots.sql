-- Several daemons on one database: work is divided into slots. A slot is a lease with an epoch; who holds it owns the
-- running deployments and the clock service of its applications. Each commit of its owner checks the epoch.

-- The unique (slot_index, epoch) makes taking a slot lock the row FOR UPDATE, while renewing its lease does not: a commit
-- that holds it FOR KEY SHARE waits for the one and never for the other.
CREATE TABLE slot (
    slot_index  integer PRIMARY KEY,
    epoch       bigint NOT NULL DEFAULT 0,
    owner       uuid,                                     -- an instance; NULL: free
    lease_until timestamptz NOT NULL DEFAULT '-infinity', -- by this database's clock
    UNIQUE (slot_index, epoch)
);
INSERT INTO slot (slot_index) SELECT generate_series(0, 15);

-- The daemons that live, and those that lived.
CREATE TABLE instance (
    id      uuid PRIMARY KEY,
    name    text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- All deployments of an application lie in one slot, so that its events are received once.
ALTER TABLE deployment ADD COLUMN slot_index integer GENERATED ALWAYS AS (get_byte(uuid_send(application_id), 3) & 15) STORED;
CREATE INDEX deployment_slot ON deployment (slot_index) WHERE state IN ('running', 'scheduled');

-- Ends a transaction whose slot belongs to somebody else by now.
CREATE FUNCTION fence(integer, bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM slot WHERE slot_index = $1 AND epoch = $2 FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'slot % belongs to another daemon now', $1 USING ERRCODE = 'FU001';
    END IF;
END
$$;

-- A new owner leaves the old group to the old one: see docs/architecture.md.
ALTER TABLE transmission
    ADD COLUMN is_taken_over boolean NOT NULL DEFAULT false, -- from an owner who did not leave it
    ADD COLUMN group_number  bigint NOT NULL DEFAULT 0,      -- groups of this transmission before the present one
    ADD COLUMN old_group_id  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN resume_state  text NOT NULL DEFAULT 'create_group';
