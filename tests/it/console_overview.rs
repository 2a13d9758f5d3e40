//! The console's first page: what came in, what was rejected and why, and how far the targets are.

use serde_json::json;

use crate::support::{
    app::{TestApp, changed, order},
    config::target as target_of,
    console::{Browser, Seen, operators},
};

const OVERVIEW: &str = "/console/p/demodelivery/overview";

/// The cells of the first row of a table that begins with that text, without what stands around them.
fn row(page: &Seen, title: &str) -> Vec<String> {
    let title = format!(">{title}</th>");
    let (_, rest) = page
        .text
        .split_once(&title)
        .unwrap_or_else(|| panic!("no {title} in {}", page.text));
    let (row, _) = rest.split_once("</tr>").unwrap();
    let cells = row.split("<td").skip(1);
    cells
        .map(|cell| {
            cell.split_once('>')
                .unwrap()
                .1
                .split('<')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn without_orders_the_overview_says_so() {
    let app = TestApp::with(operators).await;
    let page = Browser::of(&app, "Анна").await.get(OVERVIEW).await;
    assert_eq!(page.status, 200);
    assert!(page.shows("В последнее время не принято ни одного заказа."));
    assert!(page.shows("За 30 дней не отклонён ни один заказ."));
    assert!(page.shows("1С забирает заказы сама"));
    assert_eq!(row(&page, "Принято"), ["0", "0"]);
    assert_eq!(row(&page, "Запись, медиана, мс"), ["–", "–"]);
    // An empty chart is there, too: one of hours, one of days.
    assert_eq!(page.text.matches("<svg").count(), 2);
}

#[tokio::test]
async fn the_overview_tells_what_came_in_and_what_was_rejected_and_why() {
    let app = TestApp::with(operators).await;
    let now = chrono::Utc::now();
    let made_at = |id: &str, hours: i64| {
        let at = now - chrono::TimeDelta::hours(hours);
        changed(order(id), "/created_at", at.to_rfc3339())
    };
    app.post(&json!([
        made_at("today", 0),
        made_at("yesterday", 24),
        changed(made_at("old", 24 * 40), "/coins", "many"),
        changed(order("bad-2"), "/total", -1),
        changed(order("bad-3"), "/order_item_list/0/price", "?"),
        changed(order("bad-4"), "/order_item_list/0/price", "?"),
    ]))
    .await;
    // Twice: an order that came again has come in again, and is made once.
    app.post(&json!([made_at("today", 0)])).await;
    // A trial is none, and what came in yesterday is not of this hour.
    app.run(
        "INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders, accepted,
                                    rejected, updated_rows, changed_rows, dry_run)
         SELECT 'demodelivery', gen_random_uuid(), at, at, at, 'r', 1, 100, 7, 0, 0, dry_run
         FROM (VALUES (now(), true), (now() - interval '23 hours', false), (now() - interval '25 hours', false)) t (at, dry_run)",
    )
    .await;
    let page = Browser::of(&app, "Анна").await.get(OVERVIEW).await;
    assert!(page.shows("только что"));
    let accepted: i64 = app
        .value("SELECT sum(accepted) FROM journal_batch WHERE login IS NULL AND request_id <> 'r'")
        .await;
    let rejected: i64 = app
        .value("SELECT sum(rejected) FROM journal_batch WHERE request_id <> 'r'")
        .await;
    assert_eq!(
        row(&page, "Принято"),
        [accepted.to_string(), (accepted + 100).to_string()]
    );
    assert_eq!(
        row(&page, "Отклонено"),
        [rejected.to_string(), (rejected + 7).to_string()]
    );
    assert_eq!(row(&page, "из них с замечаниями")[0], "1");
    assert_ne!(row(&page, "Запись, медиана, мс")[0], "–");
    assert_eq!(
        row(&page, "Цена: неверный тип"),
        ["", "2", "2"],
        "the place of a line does not matter: {}",
        page.text
    );
    assert_eq!(row(&page, "Сумма: вне допустимых пределов"), ["", "1", "1"]);
    // The orders stand at their own days.
    let local = |hours: i64| {
        let at = aqua_orders::config::zone("Europe/Moscow")
            .unwrap()
            .local(now - chrono::TimeDelta::hours(hours));
        at.format("%d.%m.%Y").to_string()
    };
    assert_eq!(row(&page, &local(0))[0], "1");
    assert_eq!(row(&page, &local(24))[0], "1");
    let three_days = [0, 24, 48].map(|hours| row(&page, &local(hours))[1].parse::<i64>().unwrap());
    assert_eq!(three_days.iter().sum::<i64>(), rejected + 14);
    assert_eq!(
        page.text.matches("<svg").count(),
        4,
        "orders and rejected ones, by hour and by day"
    );
}

#[tokio::test]
async fn the_overview_tells_how_far_each_target_is_and_why_one_fails() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    app.post(&json!([order("A-1"), order("A-2"), order("A-3")]))
        .await;
    app.run(
        // With a lease of somebody's: nothing is really sent, and a request that is on its way writes nothing down.
        "INSERT INTO target AS t (publication, name, failing_since, failures, error, next_try_at, lease, leased_until)
         VALUES ('demodelivery', '1c', now() - interval '1 hour', 3, 'Иванов <b>закрыт</b>', now() + interval '1 hour',
                 gen_random_uuid(), now() + interval '1 hour')
         ON CONFLICT (publication, name) DO UPDATE SET failing_since = excluded.failing_since, failures = 3,
             error = excluded.error, next_try_at = excluded.next_try_at, lease = excluded.lease, leased_until = excluded.leased_until;
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at)
         SELECT publication, '1c', number, 1, 1, CASE WHEN sender_id = 'A-1' THEN now() + interval '1 hour' END
         FROM orders WHERE sender_id <> 'A-3'",
    )
    .await;
    let page = Browser::of(&app, "Анна").await.get(OVERVIEW).await;
    assert!(
        page.shows("Не отвечает с") && page.shows("Иванов <b>закрыт</b>"),
        "{}",
        page.text
    );
    assert!(page.shows("3, самый старый ждёт 0 мин"), "{}", page.text);
    let (_, card) = page
        .text
        .split_once("Отклонено, будут ещё попытки")
        .unwrap();
    assert!(card.starts_with("</dt><dd>1</dd>"), "{card}");
    let (_, card) = card.split_once("Отклонено, попыток больше нет").unwrap();
    assert!(card.starts_with("</dt><dd>1</dd>"), "{card}");
}

#[tokio::test]
async fn each_of_an_operators_publications_is_told_of_and_no_other() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    let boss = Browser::of(&app, "boss").await.get(OVERVIEW).await;
    let other = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/overview";
    assert!(
        boss.text
            .contains(&format!("<a href=\"{other}\">доставка</a></th><td>–</td>")),
        "{}",
        boss.text
    );
    let mut anna = Browser::of(&app, "Анна").await;
    assert!(!anna.get(OVERVIEW).await.shows("доставка"));
    assert_eq!(anna.get(other).await.status, 404);
}
