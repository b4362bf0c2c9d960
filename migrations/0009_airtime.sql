-- The ledger of airtime: what all deployments of all daemons on this database send through a gateway. All times are
-- protocol time, Unix milliseconds.

-- From when the next multicast frame may be on air: of a gateway as a whole (band ''), which sends one frame at a time, and
-- of each sub-band ('869400-869650', kHz) with its duty cycle.
CREATE TABLE gateway_air (
    gateway_id text NOT NULL,
    band       text NOT NULL,
    free_ms    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway_id, band)
);

-- What was booked, by minute (Unix) of the planned start; read by people.
CREATE TABLE airtime (
    gateway_id  text NOT NULL,
    band        text NOT NULL,
    minute      bigint NOT NULL,
    frame_count integer NOT NULL,
    airtime_ms  bigint NOT NULL,
    PRIMARY KEY (gateway_id, band, minute)
);
CREATE INDEX airtime_minute ON airtime (minute);

-- Books a frame that is to be on air from now_ms on and returns when it may be: no frame of another deployment is then on air
-- at any of its gateways, and none is owed to the duty cycle. busy_ms: until the gateways have sent it; duty_ms: its
-- airtime divided by the share of time that is allowed. A booking more than a day ahead was made by a clock that was wrong.
CREATE FUNCTION book_airtime(gateways text[], frame_band text, now_ms bigint, frame_airtime_ms bigint, busy_ms bigint,
                             duty_ms bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    start_ms bigint;
BEGIN
    INSERT INTO gateway_air (gateway_id, band) SELECT g, b FROM unnest(gateways) g, unnest(ARRAY['', frame_band]) b
        ORDER BY g, b ON CONFLICT DO NOTHING;
    PERFORM 1 FROM gateway_air WHERE gateway_id = ANY (gateways) AND band IN ('', frame_band)
        ORDER BY gateway_id, band FOR UPDATE;
    SELECT greatest(now_ms, max(free_ms)) INTO start_ms FROM gateway_air
        WHERE gateway_id = ANY (gateways) AND band IN ('', frame_band) AND free_ms < now_ms + 86400000;
    start_ms := coalesce(start_ms, now_ms);
    UPDATE gateway_air SET free_ms = start_ms + CASE band WHEN '' THEN busy_ms ELSE duty_ms END
        WHERE gateway_id = ANY (gateways) AND band IN ('', frame_band);
    INSERT INTO airtime (gateway_id, band, minute, frame_count, airtime_ms)
        SELECT g, frame_band, start_ms / 60000, 1, frame_airtime_ms FROM unnest(gateways) g ORDER BY g
        ON CONFLICT (gateway_id, band, minute) DO UPDATE
        SET frame_count = airtime.frame_count + 1, airtime_ms = airtime.airtime_ms + excluded.airtime_ms;
    RETURN start_ms;
END $$;
