"""The gateways' own topics: every frame is told with what its gateway says, as others who listen there see it."""
import base64
import json
import unittest

from e2e import EndToEnd, image
from listen import Listener

SCENARIO = """
gateways = 2;
heard_by = 1;
gateway_topics = "eu868";
lost_gateway_acks = 0.1;
gateway_rejects = 0.05;
"""

# In the session, which begins after 780 s and what the start takes, at this clock rate.
REFUSING = """
gateway_topics = "eu868";
refuse = ( { gateway = 0; from = 800; to = 1400; status = "DUTY_CYCLE_OVERFLOW"; } );
"""


class Gateways(EndToEnd):
    def test_frames_and_acknowledgements_are_told(self):
        self.rig.start_postgres()
        self.rig.start_mosquitto()
        listener = Listener(self.rig.mqtt_port, "eu868/gateway/+/command/down", "eu868/gateway/+/event/ack")
        self.addCleanup(listener.close)
        self.rig.start_sim("--devices", "6", "--uplink-interval", "60", "--scenario",
                           self.rig.write("scenario.conf", SCENARIO))
        self.rig.start_fuotad()
        deployment = self.create("--data-rate", "5")
        self.rig.ctl("deployment", "start", deployment)
        self.assertEqual(self.wait_for_end(deployment)["state"], "completed")
        report = self.rig.report()
        listener.settle()

        frames, statuses = {}, {}
        for topic, payload in listener.messages:
            gateway, message = topic.split("/")[2], json.loads(payload)
            self.assertIn(gateway, self.rig.world["gateways"])
            self.assertEqual(message["gatewayId"], gateway)
            told = frames if topic.endswith("/command/down") else statuses
            self.assertNotIn((gateway, message["downlinkId"]), told)
            told[gateway, message["downlinkId"]] = message["items"]
            if told is statuses:
                self.assertEqual(len(message["items"]), len(frames[gateway, message["downlinkId"]]))

        addresses, counters = set(), {}
        for key, items in frames.items():
            octets = base64.b64decode(items[0]["phyPayload"], validate=True)
            self.assertEqual(octets[0], 0x60)
            if "immediately" in items[0]["txInfo"]["timing"]:  # all devices are of class A
                addresses.add(octets[1:5])
                counters.setdefault(key[0], []).append(int.from_bytes(octets[6:8], "little"))
        self.assertEqual(len(addresses), 1)
        told = report["frames"]
        self.assertEqual(set(counters), set(self.rig.world["gateways"]))
        for seen in counters.values():  # without a gap, some more than once
            self.assertEqual(sorted(set(seen)), list(range(len(set(seen)))))
            self.assertGreater(len(seen), len(set(seen)))
            self.assertLessEqual(len(set(seen)), told["multicast_enqueued"])
        multicast = {key for key, items in frames.items() if "immediately" in items[0]["txInfo"]["timing"]}
        self.assertEqual(len(multicast), told["multicast_sent"] + told["multicast_rejected"])
        refused = {key for key in multicast & set(statuses) if statuses[key][0] == {"status": "COLLISION_PACKET"}}
        self.assertEqual(len(refused), told["multicast_rejected"])
        self.assertGreater(len(refused), 0)
        self.assertEqual({json.dumps(statuses[key]) for key in (multicast & set(statuses)) - refused},
                         {'[{"status": "OK"}]'})
        lost = len(multicast - set(statuses))
        self.assertGreaterEqual(lost, told["multicast_duplicate_fcnt"])
        self.assertGreater(lost, 0)
        unicast = set(frames) - multicast
        self.assertEqual(sum({"status": "OK"} in statuses[key] for key in unicast & set(statuses)), told["unicast_sent"])

    def make_up_for_refused_frames(self, *options):
        self.rig.extra_config = 'gateways: { topic_prefixes = ["eu868"]; };'
        self.start_all("--devices", "6", "--uplink-interval", "60", "--kind", "letter", *options, "--scenario",
                       self.rig.write("refusing.conf", REFUSING))
        deployment = self.create("--data-rate", "5", image_id=self.add_image(image(8000)))
        self.rig.ctl("deployment", "start", deployment)
        self.wait_until(deployment, lambda shown: (shown["slowed"] or 1) > 1)
        ended = self.wait_for_end(deployment)
        self.assertEqual(ended["state"], "completed")
        rejected = self.rig.report()["frames"]["multicast_rejected"]
        self.assertGreater(rejected, 5)
        self.assertAlmostEqual(ended["frames_refused"], rejected, delta=1)
        with open(self.rig.log("fuotad")) as f:
            self.assertIn("refuses frames (its duty cycle is used up)", f.read())

    def test_refused_frames_are_made_up_for(self):
        self.make_up_for_refused_frames()

    def test_refused_frames_are_told_in_protobuf_too(self):
        self.make_up_for_refused_frames("--protobuf")


if __name__ == "__main__":
    unittest.main()
