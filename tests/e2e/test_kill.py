"""fuotad is killed in the middle of the set-up and of the fragments; nothing is lost and nothing is done twice."""
import hashlib
import signal
import unittest

from e2e import EndToEnd, image


class Kill(EndToEnd):
    rate = 100.0

    def kill_and_restart(self):
        self.rig.stop("fuotad", signal.SIGKILL)
        self.rig.start_fuotad()

    def test_killed_again_and_again_the_run_ends_the_same(self):
        self.start_all("--devices", "50", "--loss", "0.05", "--uplink-interval", "60", "--uplink-jitter", "15")
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(60000)))
        self.rig.ctl("deployment", "start", deployment)
        ready = lambda count: lambda shown: shown["stages"].get("receiving", 0) >= count
        self.wait_until(deployment, ready(5))
        self.kill_and_restart()
        self.wait_until(deployment, ready(25))
        self.kill_and_restart()
        for fragments in (20, 90, 200, 260):
            self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= fragments)
            self.kill_and_restart()
        self.wait_until(deployment, lambda shown: shown["transmission_state"] == "status")
        self.kill_and_restart()
        shown = self.wait_for_end(deployment)
        self.assertEqual(shown["state"], "completed")
        self.assertEqual(shown["stages"], {"delivered": 50})
        report = self.rig.report()
        sha256 = hashlib.sha256(self.data).hexdigest()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {sha256})
        self.assertEqual(report["fragments_seen"]["repeated_n"], 0)
        self.assertEqual(report["frames"]["multicast_duplicate_fcnt"], 0)

    def test_sigterm_leaves_in_time_and_the_next_start_goes_on(self):
        self.start_all("--devices", "5", "--uplink-interval", "60")
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 10)
        self.assertEqual(self.rig.stop("fuotad", signal.SIGTERM, limit_s=5.0), 0)
        self.rig.start_fuotad()
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")


if __name__ == "__main__":
    unittest.main()
