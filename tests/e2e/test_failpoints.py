"""Killed at every point: SIGKILL where the daemon persists, sends or acknowledges, and everything ends the same.

Needs a build with -DFUOTAD_FAILPOINTS. The points are in include/base/failpoint.h; tests/failpoints/check.py holds that
each of them is killed at here.
"""
import datetime
import hashlib
import os
import signal
import threading
import time
import unittest

from e2e import BUILD, EndToEnd, image
from rig import RigError
from uplink import publish_uplink

FUOTAD = os.path.join(BUILD, "src/daemon/fuotad")
# What a device has, it keeps: group, fragmentation session, version (enum device_flag); no device joins anew here.
KEPT_FLAGS = 1 | 2 | 8


def has_failpoints():
    with open(FUOTAD, "rb") as f:
        return b"FUOTAD_FAILPOINT" in f.read()


@unittest.skipUnless(has_failpoints(), "SKIPPED: this build has no failpoints (-DFUOTAD_FAILPOINTS=ON)")
class Failpoints(EndToEnd):
    rate = 100.0

    def start_world(self, *sim_options, lease_s=5):
        self.rig.extra_config = f"cluster: {{ lease_s = {lease_s}; }};"
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.rig.start_sim(*sim_options)

    def attempt(self, act):
        """Acts as a client whose server may die at any moment; gives what it was told instead, to be shown."""
        try:
            act()
            return ""
        except (OSError, RigError, ValueError) as error:
            return str(error)

    def die_at(self, name, count=1, act=lambda: None, daemon="fuotad", limit_s=60, once=False):
        """Starts the daemon so that it dies at the point, and acts until it does."""
        process = self.rig.start_fuotad(wait=False, name=daemon, env={"FUOTAD_FAILPOINT": f"{name}:{count}"})
        end = time.monotonic() + limit_s
        has_acted, told = False, ""
        while process.poll() is None:
            self.assertLess(time.monotonic(), end, f"{name} was never passed: {told}\n" + self.log(daemon)[-2000:])
            if not (once and has_acted) and self.rig.is_healthy(daemon):
                told = self.attempt(act)
                has_acted = True
            time.sleep(0.05)
        self.rig.processes.pop(daemon)
        self.assertEqual(process.returncode, -signal.SIGKILL, self.log(daemon)[-2000:])
        self.assertIn(f"failpoint: {name}:{count}", self.log(daemon))

    def log(self, daemon="fuotad"):
        with open(self.rig.log(daemon), errors="replace") as f:
            return f.read()

    def stages(self):
        """Of each device: its flags, its stage."""
        rows = self.rig.sql("SELECT dev_eui, flags, stage FROM fuotad.deployment_device").splitlines()
        return {eui: (int(flags), stage) for eui, flags, stage in (row.split("|") for row in rows)}

    def check_forward(self, before):
        after = self.stages()
        for eui, (flags, stage) in before.items():
            self.assertEqual(flags & KEPT_FLAGS & ~after[eui][0], 0, (eui, before[eui], after[eui]))
            if stage in ("delivered", "failed"):
                self.assertEqual(after[eui][1], stage, eui)
        return after

    def check_end(self, deployment, count, repeated=0):
        shown = self.wait_for_end(deployment)
        self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": count}))
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})
        self.assertLessEqual(report["fragments_seen"]["repeated_n"], repeated)
        self.assertEqual(report["frames"]["multicast_duplicate_fcnt"], 0)

    # what clients ask for

    def test_wishes_survive_and_are_carried_out_once(self):
        self.start_world("--devices", "3", "--uplink-interval", "60")
        self.die_at("TOKEN_WRITTEN")
        self.die_at("SLOT_TAKEN", 5)
        self.die_at("LEASES_RENEWED", 2)
        self.die_at("IMAGE_ADDED", act=self.add_image)
        self.rig.start_fuotad()
        images = self.rig.ctl_json("image", "list")["images"]
        self.assertEqual([i["name"] for i in images], ["e2e"])
        self.rig.stop("fuotad")
        image_id = images[0]["id"]
        self.data = image()
        self.die_at("DRAFT_ADDED", act=lambda: self.create("--data-rate", "5", image_id=image_id), once=True)
        # No draft was lost, and none was started.
        self.assertEqual(self.rig.sql("SELECT state, count(*) FROM fuotad.deployment GROUP BY 1"), "draft|1")
        first = self.rig.sql("SELECT id FROM fuotad.deployment")
        self.die_at("REQUEST_ADDED", act=lambda: self.rig.ctl("deployment", "start", first, "--no-wait"), once=True)
        for point in ["REQUEST_TAKEN", "START_STORED", "STARTED"]:
            self.die_at(point)
        self.assertEqual(self.rig.sql("SELECT state FROM fuotad.deployment"), "running")
        self.rig.start_fuotad()
        # A start that cannot be, and one that lies ahead: their answers are not lost either.
        bad = self.create("--data-rate", "14", image_id=image_id)
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.rig.stop("fuotad")
        self.die_at("PLAN_MADE", act=lambda: self.rig.ctl("plan", bad, check=False), once=True)
        self.die_at("START_REFUSED", act=lambda: self.rig.ctl("deployment", "start", bad, "--no-wait"), once=True)
        self.rig.start_fuotad()
        self.wait_for(lambda: self.show(bad)["problems"])
        self.check_forward({})
        self.wait_for_end(first)
        later = self.create("--data-rate", "5", "--start", soon, image_id=image_id)
        self.rig.stop("fuotad")
        self.die_at("START_SCHEDULED", act=lambda: self.rig.ctl("deployment", "start", later, "--no-wait"), once=True)
        self.rig.start_fuotad()
        self.wait_for(lambda: self.show(later)["state"] == "scheduled")
        self.rig.stop("fuotad")
        self.die_at("SLOTS_LEAVE", act=lambda: self.rig.processes["fuotad"].send_signal(signal.SIGTERM))
        self.rig.start_fuotad()
        self.assertEqual(self.rig.sql("SELECT count(*) FROM fuotad.request WHERE state = 'open'"), "0")
        self.check_end(first, 3)

    def wait_for(self, is_there, limit_s=20):
        end = time.monotonic() + limit_s
        while not is_there():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    # a run

    def test_killed_at_every_point_of_a_run_it_ends_the_same(self):
        self.start_world("--devices", "12", "--loss", "0.05", "--uplink-interval", "60", "--uplink-jitter", "15", "--no-clock")
        self.rig.start_fuotad()
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(40000)))
        self.rig.stop("fuotad")
        stages = self.stages()
        markers = Markers(self)
        start = lambda: self.rig.ctl("deployment", "start", deployment, "--no-wait")
        self.die_at("ACT_CREATE_GROUP", act=start, once=True)
        for point, count in [("CALL_WRITTEN", 1), ("CALL_ANSWERED", 1), ("ROOT_KEY_READ", 2), ("LOADED", 1), ("COMMIT_BEGINS", 2),
                             ("COMMIT_SENT", 3), ("COMMITTED", 3), ("ACKNOWLEDGED", 3), ("ACTED", 3), ("ACT_COMMAND", 2),
                             ("CLOCK_ANSWER", 1), ("ACT_COMMAND", 1), ("ACT_CHECK_QUEUE", 1),
                             ("CALL_WRITTEN", 6), ("COMMITTED", 9), ("ACKNOWLEDGED", 8), ("CALL_ANSWERED", 6),
                             ("ACT_ADD_GATEWAYS", 1), ("CALL_WRITTEN", 2), ("ACT_FRAME", 4), ("AIRTIME_BOOKED", 2), ("ACT_READ_COUNTER", 1),
                             ("CALL_ANSWERED", 5), ("CALL_WRITTEN", 9), ("COMMIT_BEGINS", 9), ("COMMIT_SENT", 9),
                             ("COMMITTED", 9), ("ACKNOWLEDGED", 9), ("ACTED", 9), ("ACT_DELETE_GROUP", 1),
                             ("CALL_WRITTEN", 1), ("ACT_FINISHED", 1)]:
            self.die_at(point, count)
            stages = self.check_forward(stages)
            if point == "ACT_READ_COUNTER":
                markers.check()  # later the device may be through, and nothing it says is noted any more
        self.rig.start_fuotad()
        self.check_end(deployment, 12)

    # several daemons

    def test_killed_while_it_takes_over(self):
        self.start_world("--devices", "10", "--uplink-interval", "60", "--uplink-jitter", "15")
        self.rig.start_fuotad()
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(40000)))
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 20)
        self.rig.stop("fuotad", signal.SIGKILL)
        for point in ["ACT_CREATE_GROUP", "CALL_WRITTEN", "ACT_ADD_GATEWAYS", "ACT_READ_OLD_QUEUE", "ACT_DELETE_OLD_GROUP"]:
            self.die_at(point, daemon="second")
        # The first one is back, and who owns the deployment tells the other of changes.
        self.rig.start_fuotad(name="second")
        self.rig.stop("second")
        both = [self.rig.start_fuotad(wait=False, name=name, env={"FUOTAD_FAILPOINT": "CHANGES_TOLD:2"})
                for name in ("fuotad", "second")]
        self.wait_for(lambda: any(process.poll() == -signal.SIGKILL for process in both))
        for name in ("fuotad", "second"):
            self.rig.stop(name, signal.SIGKILL)
            self.rig.start_fuotad(name=name)
        anew = int(self.rig.sql("SELECT coalesce(sum(detail), 0) FROM fuotad.event WHERE kind = 'taken_over'"))
        self.check_end(deployment, 10, repeated=anew)

    # poison

    def test_poison_suspends_its_deployment_at_the_third_load_and_no_other(self):
        poison = {"FUOTAD_POISON": "fffe42"}
        self.start_world("--devices", "6", "--uplink-interval", "60", "--uplink-jitter", "15")
        self.rig.start_fuotad()
        image_id = self.add_image(image(20000))
        devices = self.rig.world["devices"]
        self.rig.write("devices.txt", "".join(eui + "\n" for eui in devices[:3]))
        sick = self.create("--data-rate", "5", image_id=image_id)
        self.rig.write("devices.txt", "".join(eui + "\n" for eui in devices[3:]))
        well = self.create("--data-rate", "5", image_id=image_id)
        for deployment in (sick, well):
            self.rig.ctl("deployment", "start", deployment)
        self.rig.stop("fuotad")
        for _ in range(2):
            process = self.rig.start_fuotad(wait=False, env=poison)
            self.publish(devices[0], bytes.fromhex("fffe42"), 1)
            self.wait_for(lambda: process.poll() is not None)
            self.assertEqual(process.returncode, -signal.SIGABRT, self.log()[-2000:])
            self.rig.processes.pop("fuotad")
        # A kill between the counting and the next step counts once more, not less.
        self.die_at("CRASH_COUNTED")
        self.rig.start_fuotad(env=poison)
        self.assertIn("an uplink", self.show(sick)["suspended"])
        self.assertEqual(self.show(sick)["state"], "running")
        self.assertIsNone(self.show(well)["suspended"])
        self.rig.stop("fuotad")
        self.die_at("EVENT_HELD", act=lambda: self.publish(devices[0], b"\x42", 200))
        self.rig.start_fuotad(env=poison)
        self.wait_for(lambda: int(self.rig.sql("SELECT count(*) FROM fuotad.held_event")) > 0)
        self.assertEqual(self.wait_for_end(well)["state"], "completed")
        # A daemon without the fault takes it up again.
        self.rig.stop("fuotad")
        self.die_at("RESUME", act=lambda: self.rig.ctl("deployment", "resume", sick, "--no-wait"), once=True)
        self.rig.start_fuotad()
        self.wait_for(lambda: self.show(sick)["suspended"] is None)
        self.wait_for(lambda: int(self.rig.sql("SELECT count(*) FROM fuotad.held_event")) == 0)
        self.assertIn(self.wait_for_end(sick)["state"], ("completed", "partial"))
        for device in self.devices_of(sick).values():
            self.assertIn(device["stage"], ("delivered", "failed"))

    def check_fuotad_log(self):
        if "poison" not in self.id():  # there an assertion is what is wanted
            super().check_fuotad_log()

    def test_what_is_stored_and_cannot_be_used_is_suspended(self):
        self.start_world("--devices", "2", "--uplink-interval", "60")
        self.rig.start_fuotad()
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        self.rig.stop("fuotad")
        number = self.rig.sql("SELECT next_number FROM fuotad.transmission")
        self.rig.sql("UPDATE fuotad.transmission SET next_number = 0")
        self.die_at("SUSPEND")
        self.rig.start_fuotad()
        self.wait_for(lambda: self.show(deployment)["suspended"] is not None)
        self.rig.sql(f"UPDATE fuotad.transmission SET next_number = {number}")
        self.rig.ctl("deployment", "resume", deployment)
        self.check_end(deployment, 2)

    def publish(self, dev_eui, payload, port, minute=0):
        publish_uplink(self.rig, dev_eui, payload, port, minute)


class Markers(threading.Thread):
    """Uplinks that say nothing, but leave a note each: what the broker was told is done must be in the database."""

    def __init__(self, test):
        super().__init__(daemon=True)
        self.test, self.probes, self.count, self.is_over = test, 0, 0, threading.Event()
        self.eui = test.rig.world["devices"][0]
        self.start()

    def run(self):
        # What comes before the broker knows the subscription is nobody's: the markers begin when one such was noted.
        while not self.is_over.wait(0.2) and self.noted(201) == 0:
            publish_uplink(self.test.rig, self.eui, b"\xff", 201, self.probes)
            self.probes += 1
        while not self.is_over.wait(0.2):
            publish_uplink(self.test.rig, self.eui, b"\xff", 200, self.probes + self.count)
            self.count += 1

    def noted(self, port):
        return int(self.test.rig.sql("SELECT count(*) FROM fuotad.event WHERE kind = 'bad_answer' AND value = %d"
                                     " AND dev_eui = '%s'" % (port, self.eui)))

    def check(self):
        self.is_over.set()
        self.join()
        self.test.rig.start_fuotad()
        self.test.assertGreater(self.count, 10)
        end = time.monotonic() + 10
        while self.noted(200) < self.count and time.monotonic() < end:
            time.sleep(0.1)
        self.test.assertGreaterEqual(self.noted(200), self.count, self.test.stages()[self.eui])
        self.test.rig.stop("fuotad")


if __name__ == "__main__":
    unittest.main()
