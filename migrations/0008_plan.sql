-- What a deployment is expected to take, as it was when it was asked for and when it started.
ALTER TABLE deployment ADD COLUMN plan jsonb;
ALTER TABLE request ADD COLUMN plan jsonb;
ALTER TABLE request DROP CONSTRAINT request_kind_check;
ALTER TABLE request ADD CONSTRAINT request_kind_check CHECK (kind IN ('plan', 'start', 'abort', 'pause', 'resume'));
