-- Since which fragment a device was surely there: what it missed in an outage proves nothing. And what its next answer
-- counts at least; 0: not known.
ALTER TABLE deployment_device
    ADD COLUMN there_since integer NOT NULL DEFAULT 0,
    ADD COLUMN owed_at     integer NOT NULL DEFAULT 0;
UPDATE deployment_device SET there_since = greatest(same_since, counted_at);
