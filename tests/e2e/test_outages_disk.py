"""PostgreSQL's disk is full. It is a small one of its own, where the machine permits mounting."""
import os
import subprocess

import outages
from outages import OUTAGE_S, Outage

SIZE = "160m"

# Each turn of the loop needs another page of the disk.
HUNGRY = """
CREATE TABLE fuotad.ballast (octets text);
ALTER TABLE fuotad.ballast ALTER octets SET STORAGE plain;
CREATE FUNCTION fuotad.eat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fuotad.ballast VALUES (repeat('x', 5000));
    RETURN NULL;
END $$;
CREATE TRIGGER eat AFTER UPDATE ON fuotad.transmission FOR EACH ROW EXECUTE FUNCTION fuotad.eat();
CREATE TRIGGER eat AFTER UPDATE ON fuotad.deployment_device FOR EACH STATEMENT EXECUTE FUNCTION fuotad.eat();
"""


class Disk(Outage):
    def start_parts(self, devices):
        folder = self.rig.path("disk")
        os.mkdir(folder)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", folder], capture_output=True,
                              text=True)
        if done.returncode != 0:
            self.skipTest("SKIPPED: a full disk: this machine cannot mount one: " + done.stderr.strip())
        # After the parts have ended (what is added last is done first), before the folder is removed.
        self.addCleanup(lambda: subprocess.run(["umount", "--lazy", folder], check=True))
        self.rig.postgres_folder = "disk/pg"
        super().start_parts(devices)

    def fill(self):
        self.rig.sql(HUNGRY)
        with open(self.rig.path("disk/filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def free(self):
        os.unlink(self.rig.path("disk/filler"))
        if self.rig.processes["postgres"].poll() is not None:  # it could not even write its log of changes
            self.rig.run_postgres()

    def test_full_while_devices_are_set_up(self):
        self.begin(self.setting_up)
        self.fill()
        self.last(OUTAGE_S, "database")
        self.free()
        self.end()
        self.assert_logged("No space left on device")

    def test_full_while_fragments_flow(self):
        self.begin(self.sending)
        self.fill()
        self.last(OUTAGE_S, "database")
        self.free()
        self.end()
        self.assert_logged("No space left on device")


if __name__ == "__main__":
    outages.main()
