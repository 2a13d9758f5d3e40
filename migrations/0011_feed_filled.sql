-- From here on whoever writes an order writes its row of the feed (0008_feed.sql). The orders that are there get theirs, in the
-- order of their last changes and with positions: a reader begins with the oldest, and one that is told to begin later
-- (`since`, a new target) need not take all that was delivered long ago.
--
-- When an order was last changed is known from its history; else from the batch that made it, whose UUID (v7) begins with the
-- milliseconds of its time; else from when it was made, as its sender said, which may be any day and counts up to now.
--
-- `batch` gets another name, as in 0005_own_address.sql: an instance of the release before, which would store orders
-- without a row of the feed, finds no column and answers 503; the sender comes again.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

ALTER TABLE orders RENAME COLUMN batch TO made_by;

INSERT INTO feed (publication, order_number, version, position, placed_version, sender_position, operator_position,
                  changed_at, changed_by, by_sender, by_operator)
SELECT o.publication, o.number, o.version, o.position, o.version, o.position,
       CASE WHEN o.by_operator > 0 THEN o.position END,
       o.changed_at,
       CASE WHEN o.by_operator = o.version THEN 'operator' ELSE 'sender' END,
       CASE WHEN o.by_operator = o.version THEN o.by_sender ELSE o.version END,
       o.by_operator
FROM (
    SELECT o.*, row_number() OVER (PARTITION BY o.publication ORDER BY o.changed_at, o.number) AS position
    FROM (
        SELECT o.publication, o.number, o.version, coalesce(c.by_operator, 0) AS by_operator,
               greatest(coalesce(c.by_sender, 1), 1) AS by_sender,
               least(now(), coalesce(
                   c.changed_at,
                   to_timestamp(('x' || left(replace(o.made_by::text, '-', ''), 12))::bit(48)::bigint / 1000.0),
                   o.created_at
               )) AS changed_at
        FROM orders o
        LEFT JOIN (
            -- A change that no batch made was an operator's.
            SELECT publication, order_number, max(made_at) AS changed_at,
                   max(version) FILTER (WHERE batch IS NULL) AS by_operator,
                   max(version) FILTER (WHERE batch IS NOT NULL) AS by_sender
            FROM journal_change
            GROUP BY publication, order_number
        ) c ON c.publication = o.publication AND c.order_number = o.number
    ) o
) o;

-- A mark for each thousand of them.
INSERT INTO feed_mark (publication, position, mark, placed_at)
SELECT publication, max(position), md5(publication || max(position)::text || clock_timestamp()::text || random()::text)::uuid,
       max(changed_at)
FROM feed
GROUP BY publication, (position - 1) / 1000;

INSERT INTO feed_head (publication, position, mark)
SELECT m.publication, m.position, m.mark
FROM feed_mark m
JOIN (SELECT publication, max(position) AS position FROM feed_mark GROUP BY publication) l
    ON l.publication = m.publication AND l.position = m.position;
