"""Sent until done: rounds, a pause, a further pass."""
import hashlib
import time
import unittest

from e2e import EndToEnd


class Rounds(EndToEnd):
    def test_pause_and_resume(self):
        self.start_all("--devices", "4", "--uplink-interval", "60", "--loss", "0.2")
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 5)
        self.rig.ctl("deployment", "pause", deployment)
        time.sleep(1)  # the one that was on its way
        paused = self.show(deployment)
        self.assertTrue(paused["is_paused"])
        time.sleep(3)
        self.assertEqual(self.show(deployment)["frames_sent"], paused["frames_sent"])
        self.assertNotEqual(self.rig.ctl("deployment", "pause", deployment, check=False).returncode, 0)
        self.rig.ctl("deployment", "resume", deployment)
        ended = self.wait_for_end(deployment)
        self.assertEqual((ended["state"], ended["is_paused"]), ("completed", False))
        self.assertGreater(ended["round"], 1)

    def test_a_small_memory_gets_a_further_pass(self):
        self.start_all("--devices", "3", "--uplink-interval", "60", "--loss", "0.3", "--device-limit", "4", "--kind", "lbm")
        # A pass is planned for 98 of 100 such devices: one that loses a fifth fragment needs another one.
        deployment = self.create("--data-rate", "5", "--unicast-attempts", "20", "--repair-passes", "4")
        self.rig.ctl("deployment", "start", deployment)
        ended = self.wait_for_end(deployment)
        self.assertEqual(ended["state"], "completed")
        self.assertGreaterEqual(ended["repair_number"], 1)
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})


if __name__ == "__main__":
    unittest.main()
