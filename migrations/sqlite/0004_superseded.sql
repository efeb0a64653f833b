-- The event that made a delivery pointless: a payment that succeeded supersedes what was still to be told of
-- its pending, failed or closed state. Kept when a person replays the delivery, so that it is skipped once.
ALTER TABLE deliveries ADD COLUMN superseded_by INTEGER;
