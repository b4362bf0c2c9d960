-- What is over does not slow down what runs: timelines end after a while, and nothing reads the whole of a table.
ALTER TABLE deployment ADD COLUMN is_pruned boolean NOT NULL DEFAULT false; -- its timeline and frames are gone
CREATE INDEX deployment_to_prune ON deployment (finished_at) WHERE NOT is_pruned;
CREATE INDEX event_deployment ON event (deployment_id);
CREATE INDEX request_deployment ON request (deployment_id);
