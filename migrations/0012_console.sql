-- The operator's console (contract §9).

-- One row a login that is in use. Any instance knows it, and whoever reads the table cannot use it: it holds a hash of the
-- cookie. `fingerprint` is of the password's hash as the settings had it: another password ends the session.
--
-- A session belongs to no publication, so on Citus the table stays on the coordinator, like sqlx's own.
CREATE TABLE operator_session (
    token_hash  bytea NOT NULL,
    login       text NOT NULL,
    fingerprint bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_hash)
);

-- Who did what in the console, in the same transaction as what was done. `action` is a UUID v7: the newest are at the end of the
-- key. `details` says from what to what; it names no client.
CREATE TABLE operator_action (
    publication  text COLLATE "C" NOT NULL,
    action       uuid NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    login        text NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    order_number int,
    details      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (publication, action)
);
CREATE INDEX operator_action_order ON operator_action (publication, order_number) WHERE order_number IS NOT NULL;

-- What its lists and its search walk. Each is one more thing to write for an order or a client, so there are no more than these;
-- docs/performance.md says what they cost.
--
-- All of them are partial, where need be by a condition that always holds: no statement that takes orders says it, so none can be
-- planned to walk one of them. On tables without statistics PostgreSQL finds all indexes that begin with the publication equally
-- good, and takes the newest.

-- Orders of a status, the newest first; all of them are those of four statuses.
CREATE INDEX orders_status ON orders (publication, status, created_at, number) WHERE number > 0;
-- A client's.
CREATE INDEX orders_client ON orders (publication, client_number, number) WHERE number > 0;
-- Orders with a line whose product was not found; usually there is none.
CREATE INDEX order_item_unmatched ON order_item (publication, order_number) WHERE product_number IS NULL;
-- Orders that were accepted with remarks. A batch's id (UUID v7) tells when it was.
CREATE INDEX journal_rejected_remarks ON journal_rejected (publication, batch) WHERE warnings IS NOT NULL;
-- A phone by its last digits, which people remember; and a name by its beginning. Byte by byte: what a letter's other case is
-- depends on the server's locale, and the console asks for each case. Of a name its first 200 characters: one is kept up to 1,000,
-- and an index takes no entry over 2,704 bytes.
CREATE INDEX client_phone_end ON client (publication, reverse(phone) COLLATE "C") WHERE phone IS NOT NULL;
CREATE INDEX client_phones_end ON client (publication, reverse(phones[1]) COLLATE "C") WHERE phones[1] IS NOT NULL;
CREATE INDEX client_second_phone_end ON client (publication, reverse(phones[2]) COLLATE "C") WHERE phones[2] IS NOT NULL;
CREATE INDEX client_username ON client (publication, left(username, 200) COLLATE "C") WHERE number > 0;
