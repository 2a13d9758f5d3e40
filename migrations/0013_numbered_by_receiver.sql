-- A 1C may know a client by its own number alone, and an order goes to it as the site would send it: with that number
-- (contract §8.3). But a number that we gave means nothing there, or somebody else. So a client says whose its number is: the
-- file's that brought it (`import clients`), or ours.
ALTER TABLE client ADD COLUMN numbered_by_receiver boolean NOT NULL DEFAULT false;

-- A client without a sender's id and without a guest's phone came with a file, under its number.
UPDATE client SET numbered_by_receiver = true WHERE sender_id IS NULL AND guest_phone IS NULL;
