"""The broker goes away, forgets, hangs, or does not hear the network server any more."""
import os
import shutil
import signal
import time

import outages
from outages import OUTAGE_S, Outage


class Broker(Outage):
    def restart(self):
        self.rig.stop("mosquitto")
        self.rig.start_mosquitto()

    def test_restarted_again_and_again(self):
        self.begin(self.setting_up)
        for _ in range(3):
            self.restart()
            self.wait_until_ok()
            self.last(OUTAGE_S / 6)
        self.end()

    def test_killed_and_forgets_what_it_had_queued(self):
        """What devices answered lies at the broker when it dies: nobody ever hears of it."""
        self.begin(self.setting_up)
        self.broker.freeze()
        time.sleep(2.0)  # several answers go to the broker and no further
        self.rig.stop("mosquitto", signal.SIGKILL)
        self.broker.cut()
        shutil.rmtree(self.rig.path("mq"))
        os.mkdir(self.rig.path("mq"))
        self.rig.start_mosquitto()
        self.broker.heal()
        self.wait_until_ok()
        self.end()

    def test_gone_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.rig.stop("mosquitto")
        self.last(OUTAGE_S, "broker", 2.0)
        self.rig.start_mosquitto()
        self.end()

    def test_gone_while_fragments_flow(self):
        self.begin(self.sending)
        self.rig.stop("mosquitto")
        self.last(OUTAGE_S, "broker", 2.0)
        self.rig.start_mosquitto()
        self.end()
        self.assert_logged("broker: ")

    def test_frozen(self):
        self.begin(self.setting_up)
        self.broker.freeze()
        self.last(OUTAGE_S, "broker", 12.0)
        self.broker.heal()
        self.end()

    def test_cut_off_from_us(self):
        self.begin(self.sending)
        self.broker.cut()
        self.last(OUTAGE_S, "broker", 2.0)
        self.broker.heal()
        self.end()

    def test_cut_off_from_the_network_server(self):
        """Nobody can tell it from devices that are silent."""
        self.begin(self.setting_up)
        self.sim_broker.cut()
        self.last(OUTAGE_S)
        self.sim_broker.heal()
        self.end()
        self.assertGreater(self.report["frames"]["events_dropped"], 0)


if __name__ == "__main__":
    outages.main()
