"""Two parts fail at the same time."""
import signal

import outages
from outages import OUTAGE_S, Outage
from test_outages_database import FAST, SLOW


class Pairs(Outage):
    def test_broker_gone_and_database_gone(self):
        self.begin(self.sending)
        self.rig.stop("mosquitto")
        self.last(OUTAGE_S / 4, "broker", 2.0)
        self.rig.stop("postgres", signal.SIGINT)
        self.last(OUTAGE_S / 2, "database", 2.0)
        self.rig.start_mosquitto()
        self.last(OUTAGE_S / 4, "database", 2.0)
        self.rig.run_postgres()
        self.end()

    def test_calls_gone_and_database_restarted(self):
        self.begin(self.setting_up)
        self.grpc.cut()
        self.last(OUTAGE_S / 2, "network server", 2.0)
        self.rig.stop("postgres", signal.SIGINT)
        self.rig.run_postgres()
        self.last(OUTAGE_S / 2, "network server", 2.0)
        self.grpc.heal()
        self.end()

    def test_half_of_the_calls_unavailable_and_commits_slow(self):
        self.begin(self.sending)
        self.faults('{ action = "status"; status = 14; share = 0.5; }')
        self.rig.sql(SLOW)
        self.last(OUTAGE_S)
        self.rig.sql(FAST)
        self.faults("")
        self.end()

    def test_calls_never_answered_and_broker_restarted(self):
        self.begin(self.setting_up)
        self.faults('{ action = "silent"; }')
        self.last(OUTAGE_S / 2)
        self.rig.stop("mosquitto")
        self.rig.start_mosquitto()
        self.last(OUTAGE_S / 2)
        self.faults("")
        self.end()

    def test_all_frozen_at_once(self):
        self.begin(self.sending)
        for proxy in (self.broker, self.grpc, self.database, self.sim_broker):
            proxy.freeze()
        self.last(OUTAGE_S, "database", 15.0)
        for proxy in (self.broker, self.grpc, self.database, self.sim_broker):
            proxy.heal()
        self.end()


if __name__ == "__main__":
    outages.main()
