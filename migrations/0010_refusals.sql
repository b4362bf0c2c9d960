-- Frames that gateways refused, where the daemon may listen to them.
ALTER TABLE transmission
    ADD COLUMN refused_count  bigint NOT NULL DEFAULT 0,
    ADD COLUMN refused_f_cnt  bigint NOT NULL DEFAULT 0,
    ADD COLUMN refused_in_row integer NOT NULL DEFAULT 0,
    ADD COLUMN sent_in_row    integer NOT NULL DEFAULT 0,
    ADD COLUMN slowness       integer NOT NULL DEFAULT 0;
