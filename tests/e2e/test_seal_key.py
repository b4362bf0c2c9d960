"""The seal key is replaced while a deployment runs on a live database: by SIGHUP, by a restart, and with the old key
missing for a while."""
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import unittest

from e2e import EndToEnd, image
from rig import wait_for


def fingerprint(key):
    return hashlib.sha256(b"fuotad seal key id\0" + bytes.fromhex(key)).hexdigest()[:16]


class SealKey(EndToEnd):
    rate = 100.0

    def key(self, name="seal-key"):
        with open(self.rig.path(name)) as f:
            return f.read().strip()

    def replace_key(self, kept_as):
        """A new key in the place of the current one, which stays in a file; returns both fingerprints."""
        shutil.move(self.rig.path("seal-key"), self.rig.path(kept_as))
        self.rig.write("seal-key", secrets.token_hex(32) + "\n")
        return fingerprint(self.key(kept_as)), fingerprint(self.key())

    def stored(self):
        """What the database names as the seal key of the running deployments."""
        return self.rig.sql("SELECT DISTINCT mc_key_id FROM fuotad.transmission t JOIN fuotad.deployment d "
                            "ON d.id = t.deployment_id WHERE d.state = 'running'").split()

    def reload(self):
        self.rig.write_config()
        self.rig.processes["fuotad"].send_signal(signal.SIGHUP)

    def seal_keys(self):
        return [(k["id"], k["is_current"], k["is_known"], k["deployments"])
                for k in self.rig.ctl_json("status")["seal_keys"]]

    def log_text(self):
        with open(self.rig.log("fuotad")) as f:
            return f.read()

    def begin(self):
        self.start_all("--devices", "10", "--uplink-interval", "60", "--uplink-jitter", "15")
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(40000)))
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: shown["stages"].get("receiving", 0) >= 2)
        self.assertEqual(self.stored(), [fingerprint(self.key())])
        return deployment

    def check_end(self, deployment):
        shown = self.wait_for_end(deployment)
        self.assertEqual((shown["state"], shown["stages"]), ("completed", {"delivered": 10}))
        # What is over keeps no key, whichever sealed it.
        self.assertEqual(self.rig.sql("SELECT mc_key_id || length(mc_key_sealed) FROM fuotad.transmission"), "0")
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})
        self.assertEqual(report["fragments_seen"]["repeated_n"], 0)

    def test_replaced_twice_while_a_deployment_runs(self):
        deployment = self.begin()
        before = self.rig.sql("SELECT mc_key_sealed FROM fuotad.transmission")
        # without a restart
        old, new = self.replace_key("first-key")
        self.rig.old_seal_keys = ["first-key"]
        self.reload()
        wait_for("the new seal", lambda: self.stored() == [new])
        self.assertNotEqual(self.rig.sql("SELECT mc_key_sealed FROM fuotad.transmission"), before)
        wait_for("the log", lambda: f"seal key: an old key is not needed any more key={old}" in self.log_text())
        self.assertEqual(self.seal_keys(), [(new, True, True, 1), (old, False, True, 0)])
        self.assertIn(f"{old} (old) is not needed any more", self.rig.ctl("status").stdout)
        # with one, in the middle of the fragments
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 20)
        self.rig.stop("fuotad", signal.SIGKILL)
        old, new = self.replace_key("second-key")
        self.rig.old_seal_keys = ["second-key", "first-key"]
        self.rig.start_fuotad()
        wait_for("the new seal", lambda: self.stored() == [new])
        # The old keys open nothing any more: without them it goes on all the same.
        self.rig.stop("fuotad", signal.SIGKILL)
        self.rig.old_seal_keys = []
        self.rig.start_fuotad()
        self.assertEqual(self.show(deployment)["state"], "running")
        self.assertEqual(self.seal_keys(), [(new, True, True, 1)])
        self.check_end(deployment)

    def test_the_old_keys_alone_open_nothing(self):
        deployment = self.begin()
        old, new = self.replace_key("first-key")
        self.rig.old_seal_keys = ["first-key"]
        self.reload()
        wait_for("the new seal", lambda: self.stored() == [new])
        self.rig.stop("fuotad", signal.SIGKILL)
        shutil.move(self.rig.path("seal-key"), self.rig.path("away"))
        shutil.copy(self.rig.path("first-key"), self.rig.path("seal-key"))
        self.rig.old_seal_keys = []
        self.rig.start_fuotad(wait=False)
        wait_for("the missing key", lambda: f"the key that a deployment needs key={new}" in self.log_text())
        missing = [f"the seal key {new} (keys.old_seal_key_files)"]
        wait_for("the API", lambda: self.health_or_nothing().get("waiting_for") == missing)
        self.assertEqual(self.rig.health()["status"], "degraded")
        self.assertEqual(self.seal_keys(), [(old, True, True, 0), (new, False, False, 1)])
        self.assertIn(f"{new} is missing", self.rig.ctl("status").stdout)
        self.assertEqual(self.stored(), [new])
        # Given back, it is loaded without a restart, and sealed with what is the current key now.
        self.rig.old_seal_keys = ["away"]
        self.reload()
        wait_for("the new seal", lambda: self.stored() == [old])
        wait_for("its health", self.rig.is_healthy)
        self.check_end(deployment)

    def health_or_nothing(self):
        try:
            return self.rig.health()
        except OSError:
            return {}

    def test_what_waits_for_a_key_can_be_aborted(self):
        deployment = self.begin()
        self.rig.stop("fuotad", signal.SIGKILL)
        self.replace_key("away")
        self.rig.start_fuotad(wait=False)
        wait_for("the missing key", lambda: "the seal key" in str(self.health_or_nothing().get("waiting_for")))
        self.rig.ctl("deployment", "abort", deployment)
        self.assertEqual(self.show(deployment)["state"], "aborted")
        wait_for("its health", self.rig.is_healthy)

    def test_wrong_keys_are_refused_and_never_said(self):
        fuotad = os.path.join(self.rig.build, "src/daemon/fuotad")
        self.rig.conninfo = "host=/nonexistent"
        good, short = self.key(), secrets.token_hex(31)
        self.rig.write("old-key", short + "\n")
        self.rig.old_seal_keys = ["old-key"]
        config = self.rig.write_config()
        for env, said in [({}, 'keys.old_seal_key_files = "' + self.rig.path("old-key")),
                          ({"FUOTAD_OLD_SEAL_KEYS": good + "," + short}, "FUOTAD_OLD_SEAL_KEYS"),
                          ({"FUOTAD_OLD_SEAL_KEYS": ",".join([good] * 65)}, "at most 64"),
                          ({"FUOTAD_SEAL_KEY": short}, "keys.seal_key_file")]:
            done = subprocess.run([fuotad, "--migrate-only", "--config", config], capture_output=True, text=True,
                                  env={**os.environ, **env})
            self.assertEqual(done.returncode, 2, (env, done.stderr))
            self.assertIn(said, done.stderr)
            self.assertNotIn(short, done.stderr)
            self.assertNotIn(good, done.stderr)
        done = subprocess.run([fuotad, "--migrate-only", "--config", config], capture_output=True, text=True,
                              env={**os.environ, "FUOTAD_OLD_SEAL_KEYS": good + "," + good})
        self.assertEqual(done.returncode, 1, done.stderr)  # the keys are right, the database is not there


if __name__ == "__main__":
    unittest.main()
