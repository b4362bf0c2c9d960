#!/usr/bin/env python3
"""One deployment from its start until it is done: an image of 2 kB, every device a virtual one of fuota-sim."""
import os
import time

from daemon import Daemon, info, row

IMAGE_SIZE = 2000
LOSS = 0.02
# Of the clock; most of the time is the wait for SessionTime, 4 s for each device.
RATE = float(os.environ.get("ROLLOUT_CLOCK_RATE", "3500"))
DEVICES = int(os.environ.get("ROLLOUT_DEVICES", "10000"))
UPLINK_INTERVAL_S = 3600
GOAL_S, LIMIT_S = 30, 500
ENDED = ("completed", "partial", "failed", "aborted")


def roll_out(device_count, rate, uplink_interval_s, goal_s):
    with Daemon(rate) as d:
        d.extra_config = """
network_server: { multicast_class_c_margin_ms = 120000; scheduler_interval_ms = 30000; };
defaults: { gateways_max = 1; };
"""
        d.start_database()
        d.start_mosquitto()
        d.start_sim("--devices", str(device_count), "--kind", "loramac", "--uplink-interval", str(uplink_interval_s),
                    "--uplink-jitter", str(uplink_interval_s // 4), "--margin", "120", "--interval", "30", "--gateways", "4",
                    "--loss", str(LOSS))
        d.start_fuotad()
        name = d.path("image.bin")
        with open(name, "wb") as f:
            f.write(os.urandom(IMAGE_SIZE))
        image = d.ctl_json("image", "add", name, "--name", "bench", "--version", "1")["id"]
        new = d.ctl_json("deployment", "create", "--image", image, "--application", d.world["application_id"],
                         "--devices-file", d.path("devices.txt"), "--data-rate", "5")["id"]
        begin = time.monotonic()
        parts = ["fuotad", "mosquitto", "postgres", "sim"]
        cpu = {name: d.cpu_s(name) for name in parts}
        d.ctl("deployment", "start", new)
        preflight_s = time.monotonic() - begin
        while True:
            shown = d.ctl_json("deployment", "show", new)
            if shown["state"] in ENDED or time.monotonic() > begin + LIMIT_S:
                break
            time.sleep(0.5)
        seconds = time.monotonic() - begin
        case = (f"{device_count:,} devices, {IMAGE_SIZE} octets, M = {shown['fragment_count']}, R = {shown['coded_count']}, "
                f"clock {rate:g} times")
        row(f"{case}: start to done", seconds, "s", goal_s, "lower")
        info(f"{case}: of that, the checks before the start", preflight_s, "s")
        info(f"{case}: delivered", shown["stages"].get("delivered", 0), "devices", "higher")
        for name in parts:
            info(f"{case}: processor time of {name}", d.cpu_s(name) - cpu[name], "s")
        info(f"{case}: largest resident memory of fuotad", d.resident_peak_kib() / 1024, "MiB")


roll_out(DEVICES, RATE, UPLINK_INTERVAL_S, GOAL_S if DEVICES == 10000 else None)
