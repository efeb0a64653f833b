-- What a platform takes for success may hold a number of the very request: the application's answer is compared with that.

-- Null where it is the channel's constant answer.
ALTER TABLE shadow ADD COLUMN success TEXT;
