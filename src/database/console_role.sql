-- The statements that the role $1 lacks to have what the console's pages need, and to have no more. None, as a rule: who may what is
-- written only where it differs. What a page's query reads or writes besides goes here with it.
--
-- UPDATE goes column by column. INSERT does not: on Citus a worker is told the columns with defaults, too.
WITH needed AS (
    SELECT privilege, relation, NULL AS column_name
    FROM (VALUES
        -- What is shown, searched and exported, and a client's data on request.
        ('SELECT', 'address, catalogue_version, client, client_price, district, feed, imported_order, journal_batch, '
                   'journal_change, journal_rejected, operator_action, operator_session, order_item, order_receiver, '
                   'order_refusal, orders, product, product_left_empty, product_match, product_sender_id, target_attempt, '
                   'target_delivery'),
        -- Sessions, and who did what: once written, nobody changes that.
        ('INSERT', 'operator_session, operator_action'),
        ('DELETE', 'operator_session'),
        -- A status set, lines filled.
        ('INSERT', 'journal_change, feed'),
        -- An order sent once more; of an erased client's none is.
        ('INSERT', 'target_delivery'),
        ('DELETE', 'target_delivery'),
        -- A sender's id that means a product, does so no more, or is empty on purpose.
        ('INSERT', 'catalogue_version, product_left_empty, product_match, product_sender_id'),
        ('DELETE', 'product_left_empty, product_match, product_sender_id')
    ) AS n (privilege, relations)
    CROSS JOIN LATERAL regexp_split_to_table(n.relations, ', ') AS relation
    UNION ALL
    SELECT privilege, relation, column_name
    FROM (VALUES
        -- How far the targets are; without the lease, by which alone may be written what became of a sending.
        ('SELECT', 'target', 'publication, name, position, paused, leased_until, failures, next_try_at, failing_since, error, '
                             'refuses_us, delivered_at'),
        ('SELECT', 'feed_head', 'publication, position'),
        -- A session is in use.
        ('UPDATE', 'operator_session', 'seen_at'),
        -- A status set, lines filled; a client's data erased.
        ('UPDATE', 'orders', 'status, version, shipping_address, comment'),
        ('UPDATE', 'order_item', 'product_number'),
        ('UPDATE', 'feed', 'version, position, changed_at, changed_by, by_operator, placed_version, renumbered, sender_position, '
                           'operator_position, back_office_position'),
        ('UPDATE', 'journal_change', 'changes'),
        ('UPDATE', 'client', 'version, guest_phone, username, phone, phones, email, comment, bank_account, legal_address'),
        ('UPDATE', 'address', 'sender_id, city, street, house, str, entrance, floor, room, district_number'),
        ('UPDATE', 'order_receiver', 'error, put_aside'),
        ('UPDATE', 'order_refusal', 'error'),
        ('UPDATE', 'target_attempt', 'error'),
        -- A kept order settled, opened again, erased.
        ('UPDATE', 'journal_rejected', 'settled_at, settled_by, body, faults, warnings'),
        -- Orders sent once more, or not any more.
        ('UPDATE', 'target', 'next_try_at, error'),
        ('UPDATE', 'target_delivery', 'version, refusals, next_try_at, withheld'),
        -- A sender's id that means a product.
        ('UPDATE', 'product_sender_id', 'product_number'),
        ('UPDATE', 'product_match', 'made_at, login, taken_back'),
        ('UPDATE', 'catalogue_version', 'version, has_orders')
    ) AS n (privilege, relation, columns)
    CROSS JOIN LATERAL regexp_split_to_table(n.columns, ', ') AS column_name
),
-- Of others' tables we can take nothing, and give nothing.
own AS (
    SELECT c.oid, c.relname::text AS relation, c.relacl
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname = current_schema() AND pg_has_role(c.relowner, 'USAGE')
),
granted AS (
    SELECT a.privilege_type AS privilege, o.relation, NULL AS column_name
    FROM own o CROSS JOIN LATERAL aclexplode(o.relacl) a JOIN pg_roles r ON r.oid = a.grantee
    WHERE r.rolname = $1
    UNION ALL
    SELECT a.privilege_type, o.relation, t.attname::text
    FROM own o JOIN pg_attribute t ON t.attrelid = o.oid AND NOT t.attisdropped
    CROSS JOIN LATERAL aclexplode(t.attacl) a JOIN pg_roles r ON r.oid = a.grantee
    WHERE r.rolname = $1
),
differing AS (
    (SELECT false AS is_lacking, * FROM granted EXCEPT SELECT false, * FROM needed)
    UNION ALL
    (SELECT true, * FROM needed EXCEPT SELECT true, * FROM granted)
)
SELECT format(
    CASE WHEN is_lacking THEN 'GRANT %s%s ON %I TO %I' ELSE 'REVOKE %s%s ON %I FROM %I' END,
    privilege, '(' || string_agg(quote_ident(column_name), ', ' ORDER BY column_name) || ')', relation, $1
)
FROM differing
GROUP BY is_lacking, privilege, relation, column_name IS NULL
ORDER BY is_lacking, relation, privilege
