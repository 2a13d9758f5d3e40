-- Counts the imports that changed something of a publication. The service keeps clients in memory as it read them, with
-- their addresses, prices, and the districts' names in them (store/client_cache.rs); while this version stands, no import has
-- changed any of it. A publication without a row has version 0.
CREATE TABLE catalogue_version (
    publication text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    PRIMARY KEY (publication)
);
