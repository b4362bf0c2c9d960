#!/usr/bin/env python3
"""Answers of devices in a deployment: QoS 1, JSON, to the committed row to PUBACK."""
from daemon import SETUP_ANS, STATUS_ANS, Daemon, row, shares

GOAL = 40000
COUNT = 200000
WAITING, RECEIVING = 0x70 << 56, 0x71 << 56


def measure(case, device_count, past_count, data, goal):
    with Daemon() as d:
        d.start_parts()
        d.make_past(past_count)
        d.waiting_devices(WAITING, 10)
        # One device more than answer: when all have, the round is over. A deployment has 100,000 at most.
        d.make_deployment(device_count + 1, RECEIVING, {"state": "status", "has_status_request": True},
                          {"stage": "receiving", "flags": 15})
        d.start_load()
        d.start_daemon()
        d.timed_run(WAITING, RECEIVING, device_count, 10000, 201, data)
        seconds, cpu = d.timed_run(WAITING + 1, RECEIVING, device_count, COUNT, 201, data)
        row(case, COUNT / seconds, "a second", goal)
        shares(case, cpu, COUNT)


# A status goes into the device's row and onto its timeline, an answer that says nothing new into the row alone.
measure("status of 10,000 devices, row and timeline", 10000, 10, STATUS_ANS, GOAL)
measure("answers of 10,000 devices, row alone", 10000, 10, SETUP_ANS, GOAL)
measure("status of 10,000 devices, 1,000,000 past records", 10000, 1000000, STATUS_ANS, None)
measure("status of 100 devices", 100, 10, STATUS_ANS, None)
measure("status of 99,999 devices", 99999, 10, STATUS_ANS, None)
