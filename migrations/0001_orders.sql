-- Everything a publication owns. The publication leads every primary key, unique index and foreign key, so that the
-- same schema spreads over machines with the publication as distribution column (deploy/citus.sql), and so that
-- nothing can ever be shared between two tenants by mistake (contract §4).
--
-- Numbers are plain ints handed out by the service (number_counter), never sequences: a sequence burns a number for
-- every conflict, and an int identity cannot be distributed.
--
-- Text keys compare byte by byte (COLLATE "C"): an id is an id, not a word of some language.

-- How far the numbers of a publication have been handed out, per kind of record (contract §4.3). `next` may run one
-- past the last int, which says that all are used.
CREATE TABLE number_counter (
    publication text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('order', 'client', 'address', 'product')),
    next        bigint NOT NULL CHECK (next BETWEEN 1 AND 2147483648),
    PRIMARY KEY (publication, kind)
);

-- What was done once for a publication, e.g. loading the demo data, so that it is not done again.
CREATE TABLE publication_mark (
    publication text COLLATE "C" NOT NULL,
    mark        text COLLATE "C" NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (publication, mark)
);

-- Districts belong to the receiver; an address may lie in one.
CREATE TABLE district (
    publication text COLLATE "C" NOT NULL,
    number      int NOT NULL CHECK (number > 0),
    name        text NOT NULL,
    PRIMARY KEY (publication, number)
);

CREATE TABLE product (
    publication text COLLATE "C" NOT NULL,
    number      int NOT NULL CHECK (number > 0),
    name        text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    PRIMARY KEY (publication, number)
);

-- The sender's ids of a product. Several may mean one product: operators map the app's products onto 1C's.
CREATE TABLE product_sender_id (
    publication    text COLLATE "C" NOT NULL,
    sender_id      text COLLATE "C" NOT NULL,
    product_number int NOT NULL,
    PRIMARY KEY (publication, sender_id),
    FOREIGN KEY (publication, product_number) REFERENCES product (publication, number)
);
CREATE INDEX product_sender_id_product ON product_sender_id (publication, product_number);

-- A client. `guest_phone` is the phone (E.164) by which a guest is known again; it is null for registered clients, so
-- the two can never be taken for one another. `version` counts every change of the client or of its addresses: two
-- writers that read the same version cannot both write.
CREATE TABLE client (
    publication    text COLLATE "C" NOT NULL,
    number         int NOT NULL CHECK (number > 0),
    version        int NOT NULL DEFAULT 1,
    sender_id      text COLLATE "C",
    guest_phone    text COLLATE "C",
    username       text NOT NULL,
    phone          text,
    phones         text[] NOT NULL DEFAULT '{}',
    email          text,
    comment        text,
    account_number bigint,
    type           text COLLATE "C" NOT NULL DEFAULT 'fiz' CHECK (type IN ('fiz', 'jur')),
    -- Owned by the receiver (contract §5), set by import only.
    bank_account   jsonb,
    legal_address  text[] NOT NULL DEFAULT '{}',
    coins_amount   numeric(12,2) NOT NULL DEFAULT 0,
    loyalty_system_is_active boolean,
    PRIMARY KEY (publication, number),
    CHECK (guest_phone IS NULL OR sender_id IS NULL)
);
CREATE UNIQUE INDEX client_sender_id ON client (publication, sender_id) WHERE sender_id IS NOT NULL;
CREATE UNIQUE INDEX client_guest_phone ON client (publication, guest_phone) WHERE guest_phone IS NOT NULL;

-- A client's own price of a product, owned by the receiver.
CREATE TABLE client_price (
    publication    text COLLATE "C" NOT NULL,
    client_number  int NOT NULL,
    product_number int NOT NULL,
    price          numeric(10,2) NOT NULL CHECK (price >= 0),
    active         boolean NOT NULL DEFAULT true,
    PRIMARY KEY (publication, client_number, product_number),
    FOREIGN KEY (publication, client_number) REFERENCES client (publication, number),
    FOREIGN KEY (publication, product_number) REFERENCES product (publication, number)
);

-- An address of one client. Its sender id means something only among that client's addresses: never another's.
CREATE TABLE address (
    publication     text COLLATE "C" NOT NULL,
    number          int NOT NULL CHECK (number > 0),
    client_number   int NOT NULL,
    sender_id       text COLLATE "C",
    city            text NOT NULL,
    street          text NOT NULL,
    house           text NOT NULL,
    str             text NOT NULL,
    entrance        text,
    floor           text,
    room            text,
    district_number int,
    PRIMARY KEY (publication, number),
    FOREIGN KEY (publication, client_number) REFERENCES client (publication, number),
    FOREIGN KEY (publication, district_number) REFERENCES district (publication, number)
);
CREATE INDEX address_client ON address (publication, client_number, number);
CREATE UNIQUE INDEX address_sender_id ON address (publication, client_number, sender_id) WHERE sender_id IS NOT NULL;

-- Orders; the plural because ORDER is a reserved word. Amounts are roubles, exact decimals, kept as sent.
CREATE TABLE orders (
    publication               text COLLATE "C" NOT NULL,
    number                    int NOT NULL CHECK (number > 0),
    uuid                      uuid NOT NULL,
    version                   int NOT NULL DEFAULT 1,
    sender_id                 text COLLATE "C" NOT NULL,
    status                    text COLLATE "C" NOT NULL CHECK (status IN ('new', 'approved', 'completed', 'removed')),
    client_number             int NOT NULL,
    address_number            int NOT NULL,
    created_at                timestamptz NOT NULL,
    total                     numeric(12,2) NOT NULL CHECK (total >= 0),
    delivery_cost             numeric(12,2) CHECK (delivery_cost >= 0),
    coins                     numeric(12,2) CHECK (coins >= 0),
    payment_type              text,
    payment_status            boolean NOT NULL DEFAULT false,
    shipping_date_from        timestamptz NOT NULL,
    shipping_date_to          timestamptz NOT NULL CHECK (shipping_date_from <= shipping_date_to),
    comment                   text,
    count_of_returned_bottles int NOT NULL DEFAULT 0 CHECK (count_of_returned_bottles >= 0),
    ask_for_checkout          jsonb,
    PRIMARY KEY (publication, number),
    FOREIGN KEY (publication, client_number) REFERENCES client (publication, number),
    FOREIGN KEY (publication, address_number) REFERENCES address (publication, number)
);
CREATE UNIQUE INDEX orders_sender_id ON orders (publication, sender_id);

-- A line of an order, by its place. `product_number` is null where the product was not found (contract §5).
CREATE TABLE order_item (
    publication      text COLLATE "C" NOT NULL,
    order_number     int NOT NULL,
    position         int NOT NULL CHECK (position >= 0),
    product_id       text COLLATE "C" NOT NULL,
    sender_id        text COLLATE "C",
    external_id      int,
    product_number   int,
    name             text,
    price            numeric(10,2) NOT NULL CHECK (price >= 0),
    quantity         int NOT NULL CHECK (quantity > 0),
    order_product_id bigint,
    PRIMARY KEY (publication, order_number, position),
    FOREIGN KEY (publication, order_number) REFERENCES orders (publication, number),
    FOREIGN KEY (publication, product_number) REFERENCES product (publication, number)
);

-- One row a batch: the receipt. It is written by the very statement that stores the batch, so its presence tells
-- whether a commit whose answer got lost took place (contract §1); an `abandoned` row is the opposite proof, for
-- whoever writes it first has barred the batch from landing later.
--
-- The two CHECKs are what makes that statement roll back as a whole without a second round trip: a writer that
-- updated fewer rows than it read was overtaken, and one past its deadline has been given up on by its caller.
CREATE TABLE journal_batch (
    publication  text COLLATE "C" NOT NULL,
    batch        uuid NOT NULL,
    received_at  timestamptz NOT NULL,
    stored_at    timestamptz NOT NULL,
    deadline     timestamptz NOT NULL,
    request_id   text NOT NULL,
    login        text,
    orders       int NOT NULL,
    accepted     int NOT NULL,
    rejected     int NOT NULL,
    updated_rows int NOT NULL,
    changed_rows int NOT NULL,
    abandoned    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (publication, batch),
    CONSTRAINT journal_batch_not_overtaken CHECK (updated_rows = changed_rows),
    CONSTRAINT journal_batch_in_time CHECK (stored_at <= deadline)
);
CREATE INDEX journal_batch_received_at ON journal_batch (publication, received_at);

-- Every rejected order, its text as received (JSON, which need not be JSON that PostgreSQL could hold: hence text)
-- and its faults as answered.
CREATE TABLE journal_rejected (
    publication text COLLATE "C" NOT NULL,
    batch       uuid NOT NULL,
    position    int NOT NULL,
    order_key   text COLLATE "C" NOT NULL,
    body        text NOT NULL,
    faults      jsonb NOT NULL,
    PRIMARY KEY (publication, batch, position),
    FOREIGN KEY (publication, batch) REFERENCES journal_batch (publication, batch)
);
