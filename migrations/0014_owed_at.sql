-- What an answer of a device counts at least, that was silent to earlier requests. 0: not known.
ALTER TABLE deployment_device ADD COLUMN owed_at integer NOT NULL DEFAULT 0;
