//! Lists of kept orders that somebody should look at: rejected ones, and those that were accepted with remarks. Of an order that came
//! several times the last attempt is listed; one that was taken in the end is not.
//!
//! A list walks the index of what is open from its newest row, [`LOOKED_AT`] rows at most for a page; what it passes over is settled
//! every hour ([`Store::settle_outdated`]), so pages do not become empty.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Act;
use crate::store::{Error, Store, journal::KeptOrder};

/// Open rows that a page looks at.
pub const LOOKED_AT: i64 = 500;
/// Texts that a search reads at once.
const READ_AT_ONCE: usize = 50;
/// Groups that a list shows.
const GROUPS: usize = 40;

/// Which kept orders a list shows.
#[derive(Debug, Clone, Default)]
pub struct KeptFilter {
    /// Accepted ones with remarks; else rejected ones.
    pub remarks: bool,
    /// With such a fault or warning …
    pub code: Option<String>,
    /// … of that field, as [`KeptGroup::field`] has it.
    pub field: Option<String>,
}

/// Where a page begins: behind that row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptPosition {
    pub batch: Uuid,
    pub position: i32,
}

impl KeptPosition {
    /// In front of all of them.
    const NEWEST: Self = Self {
        batch: Uuid::max(),
        position: i32::MAX,
    };
}

/// A kept order as a list shows it.
#[derive(Debug, Clone)]
pub struct KeptRow {
    pub batch: Uuid,
    pub position: i32,
    pub received_at: DateTime<Utc>,
    pub login: Option<String>,
    pub order_key: String,
    pub repeated: i32,
    /// Its faults or its warnings, the first of them.
    pub entries: Value,
    /// Our number of the order.
    pub order_number: Option<i32>,
    /// As it came, where it is shown; `None`: it is too long.
    pub body: Option<String>,
}

/// Faults or warnings of one code and field, and how many orders have one.
#[derive(Debug, Clone)]
pub struct KeptGroup {
    pub code: String,
    /// Without the places in lists: `order_item_list[].price`.
    pub field: String,
    /// What all of them are told, where it is the same.
    pub message: Option<String>,
    pub orders: usize,
}

#[derive(Debug, Clone)]
pub struct KeptPage {
    pub rows: Vec<KeptRow>,
    /// How many match, of those that were looked at.
    pub matching: usize,
    /// What the newest [`LOOKED_AT`] have, the most frequent first.
    pub groups: Vec<KeptGroup>,
    /// Whether there are more than were looked at for `groups`.
    pub is_cut: bool,
    /// Where the next page begins.
    pub next: Option<KeptPosition>,
}

impl KeptRow {
    /// Of each its code, its field and what more is said of it.
    fn entries(&self) -> impl Iterator<Item = (&str, Cow<'_, str>, Option<&str>)> {
        let entries = self.entries.as_array().into_iter().flatten();
        entries.filter_map(|entry| {
            let field = without_places(entry["field"].as_str()?);
            Some((entry["code"].as_str()?, field, entry["message"].as_str()))
        })
    }

    fn has(&self, filter: &KeptFilter) -> bool {
        let Some(wanted) = &filter.code else {
            return true;
        };
        let of_field = |field: &str| filter.field.as_deref().is_none_or(|wanted| wanted == field);
        self.entries()
            .any(|(code, field, _)| code == wanted && of_field(&field))
    }
}

/// `order_item_list[].price` of `order_item_list[3].price`.
fn without_places(path: &str) -> Cow<'_, str> {
    if !path.contains('[') {
        return Cow::Borrowed(path);
    }
    let mut parts = path.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('[');
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    Cow::Owned(text)
}

/// How many orders have something, and what they are told of it.
type Told<'a> = (usize, HashSet<Option<&'a str>>);

/// Codes and fields of these, the most frequent first.
fn groups(rows: &[KeptRow]) -> Vec<KeptGroup> {
    let mut counts: HashMap<(&str, Cow<'_, str>), Told<'_>> = HashMap::new();
    for row in rows {
        let mut each_once = HashSet::new();
        for (code, field, message) in row.entries() {
            let (orders, messages) = counts.entry((code, field.clone())).or_default();
            *orders += usize::from(each_once.insert((code, field)));
            messages.insert(message);
        }
    }
    let group = |((code, field), (orders, messages)): ((&str, Cow<'_, str>), Told<'_>)| {
        let one = messages.iter().next().filter(|_| messages.len() == 1);
        KeptGroup {
            code: code.to_owned(),
            field: field.into_owned(),
            message: one.copied().flatten().map(str::to_owned),
            orders,
        }
    };
    let mut groups: Vec<KeptGroup> = counts.into_iter().map(group).collect();
    groups.sort_by(|one, other| {
        let key = |group: &KeptGroup| std::cmp::Reverse(group.orders);
        (key(one), &one.field, &one.code).cmp(&(key(other), &other.field, &other.code))
    });
    groups.truncate(GROUPS);
    groups
}

impl Store {
    /// What is open of that kind, the newest first, `most` of it behind `after`.
    pub async fn list_kept(
        &self,
        publication: &str,
        filter: &KeptFilter,
        after: Option<KeptPosition>,
        most: usize,
    ) -> Result<KeptPage, Error> {
        self.look_up(async |connection| {
            let remarks = filter.remarks;
            let newest = KeptPosition::NEWEST;
            let (mut rows, mut end) = look(connection, publication, remarks, newest).await?;
            let (groups, is_cut) = (groups(&rows), end.is_some());
            if let Some(after) = after {
                (rows, end) = look(connection, publication, remarks, after).await?;
            }
            rows.retain(|row| row.has(filter));
            let matching = rows.len();
            let has_more = matching > most;
            rows.truncate(most);
            add_bodies(connection, publication, &mut rows).await?;
            let last = rows.last().filter(|_| has_more).map(|row| KeptPosition {
                batch: row.batch,
                position: row.position,
            });
            Ok(KeptPage {
                rows,
                matching,
                groups,
                is_cut,
                next: last.or(end),
            })
        })
        .await
    }

    /// The rejected orders that wait and have such a text, the newest `most` of the newest [`LOOKED_AT`]; and whether more wait than were
    /// looked at.
    pub async fn search_kept(
        &self,
        publication: &str,
        is_such: impl Fn(&str) -> bool,
        most: usize,
    ) -> Result<(Vec<KeptRow>, bool), Error> {
        self.look_up(async |connection| {
            let newest = KeptPosition::NEWEST;
            let (mut rows, end) = look(connection, publication, false, newest).await?;
            let mut found = Vec::new();
            while !rows.is_empty() && found.len() < most {
                let behind = rows.split_off(rows.len().min(READ_AT_ONCE));
                add_bodies(connection, publication, &mut rows).await?;
                rows.retain(|row| row.body.as_deref().is_some_and(&is_such));
                found.append(&mut rows);
                rows = behind;
            }
            found.truncate(most);
            Ok((found, end.is_some()))
        })
        .await
    }

    /// Marks a kept order as settled, and those of the same id that came before it. `by`: an operator of the console, what he did and
    /// which order it is now. Says whether there was something to settle.
    pub async fn settle_kept(
        &self,
        publication: &str,
        kept: &KeptOrder,
        by: Option<(Act<'_>, &str, Option<i32>)>,
    ) -> Result<bool, Error> {
        // Orders without an id of their own have nothing in common.
        let key = kept.has_id().then_some(kept.order_key.as_str());
        let (act, kind, order) = match by {
            Some((act, kind, order)) => (Some(act), Some(kind), order),
            None => (None, None, None),
        };
        let details = serde_json::json!({
            "order": kept.order_key, "batch": kept.batch, "position": kept.position,
        });
        let mut connection = self.connection().await?;
        let settled = sqlx::query_scalar!(
            r#"WITH settled AS (
                   UPDATE journal_rejected SET settled_at = now(), settled_by = $7::text
                   WHERE publication = $1 AND settled_at IS NULL AND order_key = $2 AND (batch, position) <= ($3::uuid, $4::int)
                     AND ((batch, position) = ($3::uuid, $4::int) OR ($5::text IS NOT NULL AND (warnings IS NULL) = $6::boolean))
                   RETURNING 1
               ), act AS (
                   INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
                   SELECT $1, $8::uuid, now(), $7::text, $9::text, $10::int, $11::jsonb
                   WHERE $8::uuid IS NOT NULL AND EXISTS (SELECT FROM settled)
               )
               SELECT count(*) AS "count!" FROM settled"#,
            publication,
            kept.order_key,
            kept.batch,
            kept.position,
            key,
            kept.warnings.is_none(),
            act.map(|act| act.login),
            act.map(|act| act.id),
            kind,
            order,
            details,
        )
        .fetch_one(&mut *connection);
        let settled = self.in_time(settled).await;
        Ok(connection.done(settled)? > 0)
    }

    /// Opens a kept order again that an operator settled. One that was erased stays settled.
    pub async fn reopen_kept(
        &self,
        publication: &str,
        kept: &KeptOrder,
        by: Act<'_>,
    ) -> Result<(), Error> {
        let details = serde_json::json!({ "order": kept.order_key });
        let mut connection = self.connection().await?;
        let opened = sqlx::query_scalar!(
            r#"WITH opened AS (
                   UPDATE journal_rejected SET settled_at = NULL, settled_by = NULL
                   WHERE publication = $1 AND batch = $2 AND position = $3 AND settled_by IS NOT NULL AND body <> ''
                   RETURNING 1
               ), act AS (
                   INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
                   SELECT $1, $4::uuid, now(), $5::text, 'reopen', $6::int, $7::jsonb WHERE EXISTS (SELECT FROM opened)
               )
               SELECT count(*) AS "count!" FROM opened"#,
            publication,
            kept.batch,
            kept.position,
            by.id,
            by.login,
            kept.order_number,
            details,
        )
        .fetch_one(&mut *connection);
        let opened = self.in_time(opened).await;
        connection.done(opened)?;
        Ok(())
    }

    /// Settles what no list shows any more: of an order that came again, and of one that was taken in the end. Looks at `step` open
    /// rows behind `after`, the oldest first; says where it ended, and `None` at the end.
    pub async fn settle_outdated(
        &self,
        publication: &str,
        after: (Uuid, i32),
        step: i64,
    ) -> Result<Option<(Uuid, i32)>, Error> {
        let last = sqlx::query!(
            r#"WITH looked_at AS MATERIALIZED (
                 (SELECT batch, position, order_key, order_version, true AS is_rejected FROM journal_rejected
                  WHERE publication = $1 AND settled_at IS NULL AND warnings IS NULL AND (batch, position) > ($2::uuid, $3::int)
                  ORDER BY batch, position LIMIT $4)
                 UNION ALL
                 (SELECT batch, position, order_key, order_version, false FROM journal_rejected
                  WHERE publication = $1 AND settled_at IS NULL AND warnings IS NOT NULL AND (batch, position) > ($2::uuid, $3::int)
                  ORDER BY batch, position LIMIT $4)
             ), first AS MATERIALIZED (
                 SELECT * FROM looked_at ORDER BY batch, position LIMIT $4
             ), outdated AS MATERIALIZED (
                 SELECT f.batch, f.position FROM first f
                 WHERE (f.order_key !~ '^#[0-9]+$' AND EXISTS (
                           SELECT FROM journal_rejected n
                           WHERE n.publication = $1 AND n.order_key = f.order_key AND n.settled_at IS NULL
                             AND (n.batch, n.position) > (f.batch, f.position) AND (n.warnings IS NULL) = f.is_rejected))
                    OR (f.is_rejected AND EXISTS (
                           SELECT FROM orders o
                           WHERE o.publication = $1 AND o.sender_id = f.order_key
                             AND (coalesce(f.order_version, 0) = 0 OR EXISTS (
                                 SELECT FROM journal_change c
                                 WHERE c.publication = $1 AND c.order_number = o.number AND c.version > f.order_version
                                   AND c.batch IS NOT NULL))))
             ), settled AS (
                 UPDATE journal_rejected r SET settled_at = now()
                 WHERE r.publication = $1 AND (r.batch, r.position) IN (SELECT batch, position FROM outdated)
             )
             SELECT batch AS "batch!", position AS "position!" FROM first ORDER BY batch DESC, position DESC LIMIT 1"#,
            publication,
            after.0,
            after.1,
            step,
        )
        .fetch_optional(self.pool());
        let last = self.answer(last).await?;
        Ok(last.map(|last| (last.batch, last.position)))
    }
}

/// A longer order is not read for a list.
const LONGEST: i32 = 64 * 1024;

async fn add_bodies(
    connection: &mut PgConnection,
    publication: &str,
    rows: &mut [KeptRow],
) -> Result<(), sqlx::Error> {
    let batches: Vec<Uuid> = rows.iter().map(|row| row.batch).collect();
    let positions: Vec<i32> = rows.iter().map(|row| row.position).collect();
    let bodies = sqlx::query_scalar!(
        r#"SELECT r.body FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY AS k (batch, position, place)
           LEFT JOIN LATERAL (
               SELECT r.body FROM journal_rejected r
               WHERE r.publication = $1 AND r.batch = k.batch AND r.position = k.position AND length(r.body) <= $4 OFFSET 0
           ) r ON true
           ORDER BY k.place"#,
        publication,
        &batches,
        &positions,
        LONGEST,
    )
    .fetch_all(connection)
    .await?;
    for (row, body) in rows.iter_mut().zip(bodies) {
        row.body = body;
    }
    Ok(())
}

/// What is listed of the open rows from there, and the last of those that were looked at; `None`: that is the end.
async fn look(
    connection: &mut PgConnection,
    publication: &str,
    remarks: bool,
    begin: KeptPosition,
) -> Result<(Vec<KeptRow>, Option<KeptPosition>), sqlx::Error> {
    // Of an order of which everything is wrong the first faults tell.
    let rows = sqlx::query_as!(
        KeptRow,
        r#"SELECT r.batch AS "batch!", r.position AS "position!", b.received_at, b.login, r.order_key AS "order_key!",
                  r.repeated AS "repeated!", jsonb_path_query_array(r.entries, '$[0 to 19]') AS "entries!",
                  o.number AS "order_number?", NULL::text AS body
           FROM (
               (SELECT batch, position, order_key, order_version, repeated, faults AS entries FROM journal_rejected
                WHERE NOT $4::boolean AND publication = $1 AND settled_at IS NULL AND warnings IS NULL
                  AND (batch, position) < ($2::uuid, $3::int)
                ORDER BY batch DESC, position DESC LIMIT $5)
               UNION ALL
               (SELECT batch, position, order_key, order_version, repeated, warnings FROM journal_rejected
                WHERE $4::boolean AND publication = $1 AND settled_at IS NULL AND warnings IS NOT NULL
                  AND (batch, position) < ($2::uuid, $3::int)
                ORDER BY batch DESC, position DESC LIMIT $5)
           ) r
           CROSS JOIN LATERAL (
               SELECT b.received_at, b.login FROM journal_batch b WHERE b.publication = $1 AND b.batch = r.batch OFFSET 0
           ) b
           LEFT JOIN LATERAL (
               SELECT o.number FROM orders o WHERE o.publication = $1 AND o.sender_id = r.order_key OFFSET 0
           ) o ON true
           WHERE ($4 OR o.number IS NULL OR (r.order_version > 0 AND NOT EXISTS (
                     SELECT FROM journal_change c
                     WHERE c.publication = $1 AND c.order_number = o.number AND c.version > r.order_version
                       AND c.batch IS NOT NULL)))
             AND (r.order_key ~ '^#[0-9]+$' OR NOT EXISTS (
                     SELECT FROM journal_rejected n
                     WHERE n.publication = $1 AND n.order_key = r.order_key AND n.settled_at IS NULL
                       AND (n.batch, n.position) > (r.batch, r.position) AND (n.warnings IS NOT NULL) = $4))
           ORDER BY r.batch DESC, r.position DESC"#,
        publication,
        begin.batch,
        begin.position,
        remarks,
        LOOKED_AT,
    )
    .fetch_all(&mut *connection)
    .await?;
    let end = sqlx::query_as!(
        KeptPosition,
        r#"(SELECT batch AS "batch!", position AS "position!" FROM journal_rejected
            WHERE NOT $4::boolean AND publication = $1 AND settled_at IS NULL AND warnings IS NULL
              AND (batch, position) < ($2::uuid, $3::int)
            ORDER BY batch DESC, position DESC LIMIT 1 OFFSET $5)
           UNION ALL
           (SELECT batch, position FROM journal_rejected
            WHERE $4::boolean AND publication = $1 AND settled_at IS NULL AND warnings IS NOT NULL
              AND (batch, position) < ($2::uuid, $3::int)
            ORDER BY batch DESC, position DESC LIMIT 1 OFFSET $5)"#,
        publication,
        begin.batch,
        begin.position,
        remarks,
        LOOKED_AT - 1,
    )
    .fetch_optional(connection)
    .await?;
    Ok((rows, end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(entries: Value) -> KeptRow {
        KeptRow {
            batch: Uuid::nil(),
            position: 0,
            received_at: DateTime::UNIX_EPOCH,
            login: None,
            order_key: "A-1".into(),
            repeated: 0,
            entries,
            order_number: None,
            body: None,
        }
    }

    #[test]
    fn faults_are_grouped_by_code_and_field_wherever_in_a_list_they_are() {
        let price = |place: usize| json!({ "field": format!("order_item_list[{place}].price"), "code": "required" });
        let phone = json!({ "field": "client.phone", "code": "required" });
        let rows = [
            row(json!([price(0), price(12), phone])),
            row(json!([price(3)])),
            row(json!([{ "field": "", "code": "conflict" }])),
        ];
        let found = groups(&rows);
        let told: Vec<_> = found
            .iter()
            .map(|group| (group.code.as_str(), group.field.as_str(), group.orders))
            .collect();
        assert_eq!(
            told,
            [
                ("required", "order_item_list[].price", 2),
                ("conflict", "", 1),
                ("required", "client.phone", 1),
            ]
        );
        // What rows of a group are told, the group is called; where they are told different things, it is not.
        let told = |message: &str| json!([{ "field": "client.phone", "code": "invalid_format", "message": message }]);
        let message = |rows: &[KeptRow]| groups(rows)[0].message.clone();
        let (one, other) = (told("взят только он"), told("нет цифр"));
        assert_eq!(
            message(&[row(one.clone()), row(one.clone())]).as_deref(),
            Some("взят только он")
        );
        assert_eq!(message(&[row(one), row(other)]), None);
        let filter = |code: &str, field: Option<&str>| KeptFilter {
            remarks: false,
            code: Some(code.to_owned()),
            field: field.map(str::to_owned),
        };
        let found = |filter: KeptFilter| rows.iter().filter(|row| row.has(&filter)).count();
        assert_eq!(found(KeptFilter::default()), 3);
        assert_eq!(found(filter("required", None)), 2);
        assert_eq!(found(filter("required", Some("client.phone"))), 1);
        assert_eq!(found(filter("conflict", Some(""))), 1);
        assert_eq!(found(filter("conflict", Some("client.phone"))), 0);
    }
}
