"""Devices as they are: every outcome has its own reason, and the devices' own memory agrees."""
import datetime
import hashlib
import unittest

from e2e import EndToEnd

SCENARIO = """
groups = (
  { first = 0; count = 1; deaf = true; },
  { first = 1; count = 1; mute = true; },
  { first = 2; count = 1; refuse_group = true; },
  { first = 3; count = 1; refuse_frag = 2; },
  { first = 4; count = 1; refuse_session = 8; },
  { first = 5; count = 1; device_limit = 2; kind = "lbm"; loss = 0.3; },
  { first = 6; count = 1; no_clock = true; },
  { first = 7; count = 1; clock_offset = 5000; },
  { first = 8; count = 1; wrong_key = true; },
  { first = 9; count = 1; rejoin_at_fragment = 20; },
  { first = 10; count = 1; answers_with_regular = true; },
  { first = 11; count = 1; repeat_answers = 2; }
);
"""


class Devices(EndToEnd):
    def run_scenario(self, *options, create=()):
        scenario = self.rig.write("scenario.conf", SCENARIO)
        self.start_all("--devices", "16", "--uplink-interval", "60", "--uplink-jitter", "15", "--scenario", scenario, *options)
        deployment = self.create("--unicast-attempts", "3", "--repair-passes", "0", *create)
        self.rig.ctl("deployment", "start", deployment)
        shown = self.wait_for_end(deployment)
        self.assertEqual(shown["state"], "partial")
        told = [self.devices_of(deployment)[eui] for eui in self.rig.world["devices"]]
        report = self.rig.report()
        self.holds = {d["dev_eui"]: d["sha256"] == hashlib.sha256(self.data).hexdigest() for d in report["devices"]}
        for device in told:
            if device["stage"] == "delivered":
                self.assertTrue(self.holds[device["dev_eui"]], device)
        return told

    def check_reasons(self, told):
        reasons = [d["reason"] for d in told]
        self.assertIn(reasons[0], ("group_no_answer", "version_no_answer"))
        self.assertIn(reasons[1], ("group_not_sent", "version_not_sent"))
        self.assertEqual(reasons[2:5], ["group_refused", "fragmentation_refused", "session_refused"])
        self.assertEqual([d["reason_bits"] & 0xFC for d in told[2:5:2]], [4, 8])
        self.assertEqual(told[3]["reason_bits"] & 0x0F, 2)
        self.assertEqual(reasons[5], "no_matrix_memory")
        self.assertEqual([told[i]["stage"] for i in (6, 7)], ["delivered", "delivered"])
        self.assertFalse(self.holds[told[8]["dev_eui"]])
        self.assertEqual(told[8]["stage"], "failed")
        self.assertIn(reasons[9], ("session_lost", "incomplete"))
        self.assertEqual([d["stage"] for d in told[10:]], ["delivered"] * 6, told[10:])

    def test_reasons_tell_what_happened_and_fuotad_answers_the_clocks(self):
        self.check_reasons(self.run_scenario(create=("--data-rate", "5")))

    def test_the_same_with_protobuf_events_and_the_network_server_answering_clocks(self):
        self.check_reasons(self.run_scenario("--protobuf", "--ts003", "--tenant-key", create=("--data-rate", "5")))

    def test_us915_and_lorawan_1_1_without_versions_in_the_profile(self):
        self.start_all("--devices", "6", "--uplink-interval", "60", "--region", "US915", "--lorawan", "1.1",
                       "--ts004=false", "--gateways", "2")
        deployment = self.create()
        self.rig.ctl("deployment", "start", deployment)
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")
        report = self.rig.report()
        self.assertEqual({d["sha256"] for d in report["devices"]}, {hashlib.sha256(self.data).hexdigest()})

    def test_a_start_that_lies_ahead_is_waited_for(self):
        self.start_all("--devices", "2", "--uplink-interval", "60")
        now_s = self.rig.health()["time_ms"] / 1000
        at = datetime.datetime.fromtimestamp(now_s + 900, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        deployment = self.create("--data-rate", "5", "--start", at)
        self.rig.ctl("deployment", "start", deployment)
        self.assertEqual(self.show(deployment)["state"], "scheduled")
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")
        started = self.rig.sql("SELECT started_ms >= extract(epoch FROM start_at) * 1000 FROM fuotad.transmission t "
                               "JOIN fuotad.deployment d ON d.id = t.deployment_id")
        self.assertEqual(started, "t")

    def test_abort_and_retry(self):
        self.start_all("--devices", "4", "--uplink-interval", "60")
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: (shown["fragments_sent"] or 0) >= 5)
        self.rig.ctl("deployment", "abort", deployment)
        self.assertEqual(self.wait_for_end(deployment)["state"], "aborted")
        again = self.rig.ctl_json("deployment", "retry", deployment)["id"]
        self.rig.ctl("deployment", "start", again)
        self.assertEqual(self.wait_for_end(again)["state"], "completed")
        timeline = self.rig.ctl_json("device", "show", self.rig.world["devices"][0])
        self.assertEqual([d["stage"] for d in timeline["deployments"]], ["failed", "delivered"])
        self.assertGreater(len(timeline["events"]), 10)


if __name__ == "__main__":
    unittest.main()
