#!/usr/bin/env python3
"""soak.py --minutes N [--seed S]: random faults on random deployments, one world after another, until the time is over.

Each world is drawn from a seed, which is printed: devices and their manners, losses, one to three daemons, one to three
deployments, and what breaks while they run. At its end every deployment must be over, every device called delivered must
hold the image, and no fragment number may have been enqueued twice but for what lay in a taken-over queue. A failure
prints the world's story and keeps its files.
"""
import argparse
import hashlib
import os
import random
import signal
import sys
import time

from e2e import BUILD, ENDED, image
from rig import Rig, RigError

WORLD_S = 240  # a world that is not over by then has failed
LEASE_S = 5
RSS_MAX_MIB = 150


class World:
    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.rig = Rig(BUILD, 100.0)
        self.rig.extra_config = f"cluster: {{ lease_s = {LEASE_S}; }};"
        self.names = ["fuotad", "second", "third"][:self.random.choice([1, 1, 2, 2, 3])]
        self.story, self.begin = [], time.monotonic()
        self.down, self.frozen = set(), {}
        self.rss_max = 0

    def tell(self, text):
        self.story.append(f"[{time.monotonic() - self.begin:7.2f}] {text}")

    # the world

    def start(self):
        draw = self.random
        self.devices = draw.randint(3, 40)
        options = ["--devices", str(self.devices), "--seed", str(self.seed), "--uplink-interval", str(draw.choice([30, 60, 120])),
                   "--uplink-jitter", "15", "--loss", str(draw.choice([0, 0.02, 0.08])), "--gateways", str(draw.choice([1, 2])),
                   "--uplink-loss", str(draw.choice([0, 0.02, 0.1])), "--kind", draw.choice(["mixed", "lbm", "loramac", "letter"])]
        options += draw.choice([[], ["--protobuf"]]) + draw.choice([[], ["--tenant-key"]]) + draw.choice([[], ["--no-clock"]])
        self.tell(f"{len(self.names)} daemons, fuota-sim {' '.join(options)}")
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.rig.start_sim(*options)
        for name in self.names:
            self.rig.start_fuotad(name=name)
        self.data = image(draw.randint(5000, 40000), self.seed)
        with open(self.rig.path("image"), "wb") as f:
            f.write(self.data)
        image_id = self.rig.ctl_json("image", "add", self.rig.path("image"), "--name", "soak", "--version", "1")["id"]
        euis = self.rig.world["devices"]
        parts = draw.choice([1, 1, 2, 3])
        self.deployments = []
        for part in range(parts):
            self.rig.write("devices.txt", "".join(eui + "\n" for eui in euis[part::parts]))
            self.deployments.append(self.rig.ctl_json(
                "deployment", "create", "--image", image_id, "--application", self.rig.world["application_id"],
                "--devices-file", self.rig.path("devices.txt"), "--data-rate", draw.choice(["3", "5"]))["id"])
        for deployment in self.deployments:
            self.rig.ctl("deployment", "start", deployment, name=draw.choice(self.names))

    # what breaks

    def alive(self):
        return [name for name in self.names if name not in self.down and name not in self.frozen]

    def kill(self):
        name = self.random.choice(self.names)
        if name not in self.down:
            self.tell(f"{name} is killed")
            self.rig.stop(name, signal.SIGKILL)
            self.frozen.pop(name, None)
            self.down.add(name)

    def end(self):
        name = self.random.choice(self.names)
        if name not in self.down and name not in self.frozen:
            self.tell(f"{name} is ended")
            status = self.rig.stop(name, signal.SIGTERM)
            if status != 0:
                raise AssertionError(f"{name} ended with status {status}")
            self.down.add(name)

    def revive(self):
        for name in sorted(self.down):
            self.tell(f"{name} is started")
            self.rig.start_fuotad(name=name, wait=False)
        self.down.clear()

    def freeze(self):
        name = self.random.choice(self.names)
        if name in self.rig.processes and name not in self.frozen:
            seconds = self.random.choice([1, 3, 8, 12])
            self.tell(f"{name} is frozen for {seconds} s")
            self.rig.processes[name].send_signal(signal.SIGSTOP)
            self.frozen[name] = time.monotonic() + seconds

    def thaw(self, everything=False):
        for name, until in list(self.frozen.items()):
            if everything or time.monotonic() > until:
                self.tell(f"{name} goes on")
                self.rig.processes[name].send_signal(signal.SIGCONT)
                del self.frozen[name]

    def broker(self):
        seconds = self.random.choice([0.1, 2, 6])
        self.tell(f"the broker is away for {seconds} s")
        self.rig.stop("mosquitto", self.random.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGKILL]))
        time.sleep(seconds)
        self.rig.start_mosquitto()

    def database(self):
        seconds = self.random.choice([0.1, 2, 6])
        self.tell(f"PostgreSQL is away for {seconds} s")
        self.rig.stop("postgres", self.random.choice([signal.SIGINT, signal.SIGQUIT]))
        time.sleep(seconds)
        self.rig.run_postgres()

    def connections(self):
        self.tell("PostgreSQL ends all connections")
        self.rig.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fuotad'")

    def network_server(self):
        seconds = self.random.choice([1, 4])
        self.tell(f"ChirpStack is frozen for {seconds} s")
        self.rig.processes["sim"].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.rig.processes["sim"].send_signal(signal.SIGCONT)

    # the run

    def states(self):
        return dict(row.split("|") for row in self.rig.sql("SELECT id, state FROM fuotad.deployment").splitlines())

    def watch(self):
        for name in self.names:
            process = self.rig.processes.get(name)
            if process is None:
                continue
            if process.poll() is not None:
                raise AssertionError(f"{name} ended by itself with status {process.returncode}")
            with open(f"/proc/{process.pid}/status") as f:
                rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
            self.rss_max = max(self.rss_max, rss / 1024)
        if self.rss_max > RSS_MAX_MIB and "asan" not in BUILD:
            raise AssertionError(f"{self.rss_max:.0f} MiB of memory")

    def run(self):
        faults = [self.kill, self.kill, self.end, self.freeze, self.broker, self.database, self.connections, self.network_server]
        calm_after = time.monotonic() + self.random.uniform(10, 60)
        next_fault = time.monotonic() + self.random.uniform(0, 4)
        while set(self.states().values()) - set(ENDED):
            if time.monotonic() - self.begin > WORLD_S:
                raise AssertionError(f"not over after {WORLD_S} s: {self.states()}")
            self.watch()
            self.thaw()
            if time.monotonic() > next_fault and time.monotonic() < calm_after:
                self.random.choice(faults)()
                next_fault = time.monotonic() + self.random.uniform(0.2, 5)
            elif self.down:
                time.sleep(self.random.choice([0.1, 1, 6]))
                self.revive()
            if time.monotonic() > calm_after:
                self.thaw(everything=True)
            time.sleep(0.2)

    def check(self):
        self.thaw(everything=True)
        stages = dict(row.split("|") for row in self.rig.sql("SELECT dev_eui, stage FROM fuotad.deployment_device").splitlines())
        anew = int(self.rig.sql("SELECT coalesce(sum(detail), 0) FROM fuotad.event WHERE kind = 'taken_over'"))
        jumps = int(self.rig.sql("SELECT count(*) FROM fuotad.event WHERE kind = 'counter_jump'"))
        twice = int(self.rig.sql("SELECT count(*) FROM (SELECT 1 FROM fuotad.frame JOIN fuotad.transmission t USING "
                                "(deployment_id) WHERE kind = 0 AND t.repair_number = 0 GROUP BY deployment_id, number "
                                 "HAVING count(*) > 1) AS n"))
        reasons = self.rig.sql("SELECT reason, count(*) FROM fuotad.deployment_device WHERE stage = 'failed' GROUP BY 1")
        report = self.rig.report()
        sha256 = hashlib.sha256(self.data).hexdigest()
        for device in report["devices"]:
            if stages[device["dev_eui"]] == "delivered" and device["sha256"] != sha256:
                raise AssertionError(f"{device['dev_eui']} is called delivered, and is not: {device}")
        if set(stages.values()) - {"delivered", "failed"}:
            raise AssertionError(f"devices without an end: {stages}")
        # The simulator does not tell one deployment's fragments from another's.
        is_one_pass = len(self.deployments) == 1 and self.rig.sql("SELECT max(repair_number) FROM fuotad.transmission") == "0"
        repeated = max(twice, report["fragments_seen"]["repeated_n"] if is_one_pass else 0)
        if repeated > anew + jumps:
            raise AssertionError(f"{repeated} fragment numbers twice, {anew} were taken over, {jumps} came late")
        for name in self.names:
            with open(self.rig.log(name), errors="replace") as f:
                log = f.read()
            for trouble in ["AddressSanitizer", "runtime error:", "Assertion", "signal 6", "signal 11"]:
                if trouble in log:
                    raise AssertionError(f"{name}: {trouble}")
        delivered = sum(stage == "delivered" for stage in stages.values())
        return delivered, len(stages), repeated, reasons.replace("\n", ", ")


def main():
    parser = argparse.ArgumentParser(description="Random faults on random deployments.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, help="only this world")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    worlds = devices = delivered = faults = 0
    while True:
        world = World(seed)
        try:
            world.start()
            world.run()
            got, count, repeated, reasons = world.check()
        except (AssertionError, RigError, OSError, StopIteration) as failure:
            print(f"world {seed} FAILED: {failure}", *world.story, f"its files are in {world.rig.dir}", sep="\n", flush=True)
            for name in list(world.rig.processes):
                world.rig.stop(name, signal.SIGKILL)
            return 1
        world.rig.close()
        worlds, devices, delivered, faults = worlds + 1, devices + count, delivered + got, faults + len(world.story) - 1
        print(f"world {seed}: {got}/{count} delivered, {len(world.story) - 1} faults, {len(world.names)} daemons, "
              f"{repeated} fragments twice, {world.rss_max:.0f} MiB, {time.monotonic() - world.begin:.0f} s"
              + (f" ({reasons})" if reasons else ""), flush=True)
        seed += 1
        if arguments.seed is not None or time.monotonic() > end:
            break
    print(f"soak: {worlds} worlds, {faults} faults, {delivered} of {devices} devices delivered, the others with their reason")
    return 0


sys.exit(main())
