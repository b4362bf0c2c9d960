"""PostgreSQL goes away, comes back, hangs and gets slow, while devices are set up and fragments flow."""
import signal

import outages
from outages import OUTAGE_S, Outage

# Each transaction that writes these tables takes 2 s to commit.
SLOW = """
CREATE FUNCTION fuotad.slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('fuotad.slept', true) IS DISTINCT FROM txid_current()::text THEN
        PERFORM set_config('fuotad.slept', txid_current()::text, true);
        PERFORM pg_sleep(2);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON fuotad.transmission DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fuotad.slow();
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON fuotad.deployment_device DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fuotad.slow();
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON fuotad.event DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fuotad.slow();
"""
FAST = "DROP FUNCTION fuotad.slow() CASCADE"


class Database(Outage):
    def test_restarted_again_and_again(self):
        self.begin(self.setting_up)
        for _ in range(3):
            self.rig.stop("postgres", signal.SIGINT)
            self.last(1.0, "database")
            self.rig.run_postgres()
            self.wait_until_ok()
            self.last(OUTAGE_S / 6)
        self.end()

    def test_gone_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.rig.stop("postgres", signal.SIGINT)
        self.last(OUTAGE_S, "database", 2.0)
        self.rig.run_postgres()
        self.end()

    def test_killed_while_fragments_flow(self):
        self.begin(self.sending)
        self.rig.stop("postgres", signal.SIGQUIT)
        self.last(OUTAGE_S, "database", 2.0)
        self.rig.run_postgres()
        self.end()
        self.assert_logged("database: ")

    def test_cut_off(self):
        self.begin(self.sending)
        self.database.cut()
        self.last(OUTAGE_S, "database", 2.0)
        self.database.heal()
        self.end()

    def test_frozen(self):
        self.begin(self.sending)
        self.database.freeze()
        self.last(OUTAGE_S, "database", 15.0)
        self.database.heal()
        self.end()

    def test_two_seconds_a_commit_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.rig.sql(SLOW)
        self.last(OUTAGE_S)
        self.rig.sql(FAST)
        self.end()

    def test_two_seconds_a_commit_while_fragments_flow(self):
        self.begin(self.sending)
        self.rig.sql(SLOW)
        self.last(OUTAGE_S)
        self.rig.sql(FAST)
        self.end()

    def test_cut_off_in_the_middle_of_commits_that_take_two_seconds(self):
        """The server carries the commit out behind our back, while we have loaded what was before."""
        self.begin(self.sending)
        self.rig.sql(SLOW)
        for _ in range(4):
            self.last(OUTAGE_S / 8)
            self.database.cut()
            self.database.heal()
        self.last(OUTAGE_S / 2)
        self.rig.sql(FAST)
        self.end()


if __name__ == "__main__":
    outages.main()
