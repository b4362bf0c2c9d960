#!/usr/bin/env python3
"""Uplinks of devices in no deployment, through a broker at QoS 1. The filter alone is the group `filter`."""
from daemon import SENSOR_DATA, Daemon, row, shares

GOAL = 60000
COUNT = 300000
WAITING, OTHERS = 0x70 << 56, 0x72 << 56


def measure(case, past_count, running_count):
    with Daemon() as d:
        d.start_parts()
        d.make_past(past_count)
        d.waiting_devices(WAITING, 10)
        d.waiting_devices(0x71 << 56, running_count)
        d.start_load()
        d.start_daemon()
        d.timed_run(WAITING, OTHERS, 10000, 10000, 10, SENSOR_DATA)
        seconds, cpu = d.timed_run(WAITING + 1, OTHERS, 100000, COUNT, 10, SENSOR_DATA)
        row(case, COUNT / seconds, "a second", GOAL)
        shares(case, cpu, COUNT)


measure("10 past records, 100 devices running", 10, 100)
measure("1,000,000 past records, 100,000 devices running", 1000000, 100000)
