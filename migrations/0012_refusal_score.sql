-- Refusals are weighed by how many gateways send each frame, and rows are made up within bounds.
ALTER TABLE transmission RENAME COLUMN refused_in_row TO refusal_score;
ALTER TABLE transmission ADD COLUMN made_up_count integer NOT NULL DEFAULT 0;
