"""Two and three daemons on one database: slots are shared, a dead or frozen owner is replaced, any daemon answers."""
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest
import urllib.request

from e2e import EndToEnd, image

LEASE_S = 5


class Daemons(EndToEnd):
    rate = 100.0

    def setUp(self):
        super().setUp()
        self.names = []
        self.rig.extra_config = f"cluster: {{ lease_s = {LEASE_S}; }};"

    def start_daemons(self, count, *sim_options):
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        self.rig.start_sim(*sim_options)
        for name in ["fuotad", "second", "third"][:count]:
            self.start_daemon(name)
        self.wait_for_shares(count)

    def start_daemon(self, name):
        self.rig.start_fuotad(name=name)
        self.names.append(name)

    def slots(self, name):
        return set(self.rig.health(name)["slots"])

    def wait_for_shares(self, count, limit_s=4 * LEASE_S):
        """Until all slots are held, each by one daemon, and none has more than its share."""
        end = time.monotonic() + limit_s
        while True:
            shares = {name: self.slots(name) for name in self.names}
            held = [slot for share in shares.values() for slot in share]
            if sorted(held) == list(range(16)) and all(len(s) <= -(-16 // count) for s in shares.values()):
                return shares
            self.assertLess(time.monotonic(), end, shares)
            time.sleep(0.05)

    def owner(self):
        """Who has the slot of the application, and who has not."""
        slot = bytes.fromhex(self.rig.world["application_id"].replace("-", ""))[3] % 16
        owners = [name for name in self.names if slot in self.slots(name)]
        self.assertEqual(len(owners), 1, owners)
        return slot, owners[0], next(name for name in self.names if name != owners[0])

    def begin(self, fragments):
        """A deployment in the middle of its fragments: (slot, owner, another daemon, its id)."""
        slot, owner, other = self.owner()
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(40000)))
        self.rig.ctl("deployment", "start", deployment, name=other)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= fragments)
        return slot, owner, other, deployment

    def show(self, deployment):
        return self.rig.ctl_json("deployment", "show", deployment, name=self.alive())

    def alive(self):
        return next(name for name in self.names if name not in getattr(self, "gone", ()))

    def wait_for_takeover(self, name, slot):
        start = time.monotonic()
        while slot not in self.slots(name):
            self.assertLess(time.monotonic() - start, LEASE_S + 1)
            time.sleep(0.02)
        return time.monotonic() - start

    def check_end(self, deployment, count):
        shown = self.wait_for_end(deployment)
        self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": count}))
        anew = self.rig.sql("SELECT coalesce(sum(detail), 0) FROM fuotad.event WHERE kind = 'taken_over'")
        # A fragment number twice only where it lay in the old owner's queue.
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})
        self.assertLessEqual(report["fragments_seen"]["repeated_n"], int(anew))
        self.assertEqual(report["frames"]["multicast_duplicate_fcnt"], 0)

    def test_a_killed_owner_is_replaced_in_the_middle_of_fragments(self):
        self.start_daemons(2, "--devices", "20", "--loss", "0.05", "--uplink-interval", "60", "--uplink-jitter", "15")
        slot, owner, other, deployment = self.begin(30)
        self.rig.stop(owner, signal.SIGKILL)
        self.gone = {owner}
        self.wait_for_takeover(other, slot)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 60)
        self.assertEqual(self.rig.sql("SELECT count(*) FROM fuotad.event WHERE kind = 'taken_over'"), "1")
        # The killed one comes back and gets its share.
        self.start_daemon_again(owner)
        self.check_end(deployment, 20)

    def start_daemon_again(self, name):
        self.rig.start_fuotad(name=name)
        self.gone = set()

    def text_of(self, name):
        with open(self.rig.log(name), errors="replace") as f:
            return f.read()

    def test_a_killed_owner_is_replaced_in_the_set_up(self):
        self.start_daemons(2, "--devices", "20", "--uplink-interval", "60", "--uplink-jitter", "15")
        slot, owner, other = self.owner()
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(20000)))
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: shown["stages"].get("receiving", 0) >= 3)
        self.rig.stop(owner, signal.SIGKILL)
        self.gone = {owner}
        self.wait_for_takeover(other, slot)
        self.check_end(deployment, 20)

    def test_a_frozen_owner_can_neither_write_nor_reach_the_group(self):
        self.start_daemons(2, "--devices", "20", "--uplink-interval", "60", "--uplink-jitter", "15")
        slot, owner, other, deployment = self.begin(30)
        frozen = self.rig.processes[owner]
        frozen.send_signal(signal.SIGSTOP)
        self.gone = {owner}
        self.wait_for_takeover(other, slot)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 60)
        frozen.send_signal(signal.SIGCONT)
        self.gone = set()
        # It finds that its slots are gone, lives on, and gets its share again.
        self.wait_for_shares(2)
        self.assertIsNone(frozen.poll())
        self.assertRegex(self.text_of(owner), f"another daemon owns it now slot={slot}\\b")
        self.check_end(deployment, 20)

    def test_three_daemons_share_and_any_of_them_answers(self):
        self.start_daemons(3, "--devices", "10", "--uplink-interval", "60", "--uplink-jitter", "15")
        _, owner, other = self.owner()
        changes = self.listen(other)
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(20000)))
        self.rig.ctl("deployment", "start", deployment, name=other)
        # An orderly end hands the slots over at once.
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 20)
        started = time.monotonic()
        self.assertEqual(self.rig.stop(owner, signal.SIGTERM, limit_s=5.0), 0)
        self.gone = {owner}
        self.names.remove(owner)
        self.wait_for_shares(2, limit_s=LEASE_S)
        self.assertLess(time.monotonic() - started, LEASE_S)
        self.check_end(deployment, 10)
        states = {change["transmission_state"] for change in changes if change["id"] == deployment}
        self.assertIn("transmit", states)
        self.assertIn("completed", {change["state"] for change in changes})
        self.assertEqual(self.rig.sql("SELECT count(*) FROM fuotad.event WHERE kind = 'taken_over'"), "0")

    def listen(self, name):
        """The live events of a daemon, as they come."""
        with open(self.rig.path("state/admin-token")) as f:
            token = f.read().strip()
        request = urllib.request.Request(f"http://127.0.0.1:{self.rig.http_ports[name]}/api/v1/events")
        request.add_header("Authorization", "Bearer " + token)
        stream, changes = urllib.request.urlopen(request, timeout=200), []

        def read():
            try:
                for line in stream:
                    if line.startswith(b"data: "):
                        changes.append(json.loads(line[6:]))
            except (OSError, ValueError, AttributeError):
                pass  # the daemon has ended

        threading.Thread(target=read, daemon=True).start()
        return changes

    def test_one_state_directory_serves_one_daemon(self):
        self.start_daemons(1, "--devices", "1")
        config = self.rig.path("twin.conf")
        with open(self.rig.path("fuotad.conf")) as f, open(config, "w") as twin:
            twin.write(re.sub(r"http: \{ port = \d+", "http: { port = 0", f.read()))
        done = subprocess.run([os.path.join(self.rig.build, "src/daemon/fuotad"), "--config", config],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("another fuotad uses state_dir", done.stderr)


if __name__ == "__main__":
    unittest.main()
