#!/usr/bin/env python3
"""A class A device waits: from its uplink to the call, and to the network server's OK, with others' uplinks beside."""
from daemon import SENSOR_DATA, VERSION_ANS, Daemon, info, row

SAMPLES = 500
RATE = 50          # answers a second
BACKGROUND = 5000  # uplinks a second
CALL_GOAL_MS, OK_GOAL_MS = 30, 60
WAITING, OTHERS, RUNNING = 0x70 << 56, 0x72 << 56, 0x71 << 56


def measure(case, past_count, device_count, background, has_goal):
    """The devices' answers make fuotad ask for their keys, and then queue a command: the call and the OK."""
    with Daemon() as d:
        d.start_parts()
        d.make_past(past_count)
        d.waiting_devices(WAITING, device_count)
        d.waiting_devices(RUNNING, 10000)
        d.start_load()
        d.start_daemon()
        d.publish(WAITING + SAMPLES, 100, 100, 201, VERSION_ANS, 20)
        cpu = d.cpu_s("fuotad")
        d.publish(background, 10000, int(BACKGROUND * (SAMPLES / RATE + 5)), 10, SENSOR_DATA, BACKGROUND, "background")
        times = d.publish(WAITING, SAMPLES, SAMPLES, 201, VERSION_ANS, RATE, "latency")
        for name, what, goal in [("call_us", "uplink to call", CALL_GOAL_MS), ("command_us", "uplink to OK", OK_GOAL_MS)]:
            median, p99, worst = (us / 1000 for us in times[name])
            info(f"{case}: {what}, median", median, "ms")
            row(f"{case}: {what}, 99th percentile", p99, "ms", goal if has_goal else None, "lower")
            info(f"{case}: {what}, longest", worst, "ms")
        if times["lost"]:
            raise SystemExit(f"{times['lost']} answers caused no call")
        info(f"{case}: processor time of fuotad", (d.cpu_s("fuotad") - cpu) / (SAMPLES / RATE) * 100, "% of a core")


measure("others in no deployment, 10 past records", 10, 1000, OTHERS, True)
measure("others in no deployment, 1,000,000 past records, 100,000 devices", 1000000, 100000, OTHERS, True)
measure("others in a deployment", 10, 1000, RUNNING, False)
