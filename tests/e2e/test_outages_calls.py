"""The network server's API fails in every way that it can, while devices are set up and fragments flow."""
import outages
from outages import OUTAGE_S, Outage


class Calls(Outage):
    def test_connection_is_reset_again_and_again(self):
        self.begin(self.setting_up)
        for _ in range(3):
            self.grpc.cut()
            self.last(1.0)
            self.grpc.heal()
            self.wait_until_ok()
            self.last(OUTAGE_S / 6)
        self.end()
        self.assert_logged("network server: ")

    def test_gone_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.grpc.cut()
        self.last(OUTAGE_S, "network server", 2.0)
        self.grpc.heal()
        self.end()

    def test_gone_while_fragments_flow(self):
        self.begin(self.sending)
        self.grpc.cut()
        self.last(OUTAGE_S, "network server", 2.0)
        self.grpc.heal()
        self.end()

    def test_frozen(self):
        self.begin(self.sending)
        self.grpc.freeze()
        self.last(OUTAGE_S, "network server", 8.0)
        self.grpc.heal()
        self.end()

    def test_unavailable_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.faults('{ action = "status"; status = 14; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()

    def test_internal_errors_while_fragments_flow(self):
        self.begin(self.sending)
        self.faults('{ action = "status"; status = 13; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()

    def test_unauthenticated_while_fragments_flow(self):
        self.begin(self.sending)
        self.faults('{ action = "status"; status = 16; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()

    def test_half_of_the_calls_fail_in_all_ways(self):
        self.begin(self.sending)
        for fault in ['"status"; status = 14', '"status"; status = 13', '"goaway"', '"refuse"', '"delay"; delay_ms = 500']:
            self.faults(f'{{ action = {fault}; share = 0.5; }}')
            self.last(OUTAGE_S / 5)
        self.faults("")
        self.end()
        for action, hits in self.report["faults"].items():
            self.assertTrue(hits > 0 or action == "silent", action)

    def test_answers_after_the_deadline(self):
        self.begin(self.sending)
        self.faults('{ action = "delay"; delay_ms = 3000; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()

    def test_carries_out_and_never_answers(self):
        self.begin(self.setting_up)
        self.faults('{ action = "silent"; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()

    def test_goaway_after_each_call(self):
        self.begin(self.setting_up)
        self.faults('{ action = "goaway"; }')
        self.last(OUTAGE_S)
        self.faults("")
        self.end()
        self.assertGreater(self.report["faults"]["goaway"], 10)

    def test_refuses_streams(self):
        self.begin(self.sending)
        self.faults('{ action = "refuse"; }')
        self.last(OUTAGE_S, "network server")
        self.faults("")
        self.end()


if __name__ == "__main__":
    outages.main()
