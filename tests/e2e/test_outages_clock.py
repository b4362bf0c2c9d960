"""Our clock is stepped by an hour of protocol time, and back. Only builds with FUOTAD_FAILPOINTS can."""
import signal
import unittest

import outages
from outages import OUTAGE_S, Outage

HOUR_S = 3600


@unittest.skipUnless(outages.has_failpoints(), "SKIPPED: clock steps: this build has no FUOTAD_FAILPOINTS")
class Clock(Outage):
    def setUp(self):
        super().setUp()
        self.environment["FUOTAD_CLOCK_OFFSET_FILE"] = self.rig.write("offset", "0\n")

    def step(self, protocol_s):
        before = self.rig.health()["time_ms"]
        self.rig.write("offset", f"{round(protocol_s / self.rate * 1e6)}\n")
        self.fuotad.send_signal(signal.SIGUSR1)
        return before

    def step_and_back(self, is_reached, protocol_s):
        """Afterwards some devices may have no image, but nobody says of them that they have."""
        self.begin(is_reached)
        before = self.step(protocol_s)
        self.last(0.3)
        moved_s = (self.rig.health()["time_ms"] - before) / 1000
        self.assertAlmostEqual(moved_s, protocol_s, delta=1000, msg="the clock was not stepped")
        self.last(OUTAGE_S)
        self.step(0)
        return self.end(is_complete=False)

    def test_an_hour_ahead_while_devices_are_set_up(self):
        self.step_and_back(self.setting_up, HOUR_S)

    def test_an_hour_behind_while_devices_are_set_up(self):
        self.step_and_back(self.setting_up, -HOUR_S)

    def test_an_hour_ahead_while_fragments_flow(self):
        self.step_and_back(self.sending, HOUR_S)

    def test_an_hour_behind_while_fragments_flow(self):
        self.step_and_back(self.sending, -HOUR_S)

    def test_an_hour_ahead_while_the_broker_is_cut_off(self):
        self.begin(self.sending)
        self.broker.cut()
        self.last(OUTAGE_S / 2, "broker", 2.0)
        self.step(HOUR_S)
        self.last(OUTAGE_S / 2, "broker", 2.0)
        self.broker.heal()
        self.end(is_complete=False)


if __name__ == "__main__":
    outages.main()
