-- Which gateways hear a device, of all devices that the daemons listen to: for the coverage in plans. Protocol time, Unix
-- milliseconds, renewed once an hour.
CREATE TABLE heard (
    dev_eui    text NOT NULL,
    gateway_id text NOT NULL,
    heard_ms   bigint NOT NULL,
    PRIMARY KEY (dev_eui, gateway_id)
);
CREATE INDEX heard_heard_ms ON heard (heard_ms);
