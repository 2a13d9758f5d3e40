//! The console's first page: what came in, what was rejected and why, and how far the targets are.

use chrono::Datelike;
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

/// The same where the title is a link.
fn linked(page: &Seen, title: &str) -> Vec<String> {
    let text = page
        .text
        .replace(&format!(">{title}</a></th>"), &format!(">{title}</th>"));
    row(
        &Seen {
            status: page.status,
            headers: page.headers.clone(),
            text,
        },
        title,
    )
}

/// Its day in the publication's time.
fn local_day(at: chrono::DateTime<chrono::Utc>) -> String {
    let zone = aqua_orders::config::zone("Europe/Moscow").unwrap();
    zone.local(at).format("%Y-%m-%d").to_string()
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
    assert_eq!(row(&page, "Запись вызова: обычно за"), ["–", "–"]);
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
        linked(&page, "Отклонено"),
        [rejected.to_string(), (rejected + 7).to_string()]
    );
    assert_eq!(linked(&page, "из них с замечаниями")[0], "1");
    assert_ne!(row(&page, "Запись вызова: обычно за")[0], "–");
    assert_eq!(
        linked(&page, "Цена: неверный тип"),
        ["", "2", "2"],
        "the place of a line does not matter: {}",
        page.text
    );
    assert_eq!(
        linked(&page, "Сумма: вне допустимых пределов"),
        ["", "1", "1"]
    );
    // The orders stand at their own days.
    let local = |hours: i64| {
        let at = aqua_orders::config::zone("Europe/Moscow")
            .unwrap()
            .local(now - chrono::TimeDelta::hours(hours));
        let weekday = ["пн", "вт", "ср", "чт", "пт", "сб", "вс"];
        let weekday = weekday[at.weekday().num_days_from_monday() as usize];
        format!("{} {weekday}", at.format("%d.%m"))
    };
    assert_eq!(linked(&page, &local(0))[0], "1");
    assert_eq!(linked(&page, &local(24))[0], "1");
    // What was rejected before the journal begins, 25 hours ago, is not known: that is not nothing.
    let three_days = [0, 24, 48].map(|hours| linked(&page, &local(hours))[1].parse::<i64>());
    assert_eq!(three_days.iter().flatten().sum::<i64>(), rejected + 14);
    assert_eq!(linked(&page, &local(72))[1..], ["–", "–"]);
    assert!(page.shows("Что отклонено, известно с "));
    // Each day, and each reason, leads to its orders.
    let day = local_day(now);
    assert!(
        page.text
            .contains(&format!("orders?from={day}&#38;to={day}\"")),
        "{day}"
    );
    assert!(
        page.text
            .contains("/rejected?code=out%5Fof%5Frange&#38;field=total\"")
    );
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
    let (_, card) = page.text.split_once("Отказано, попытки ещё будут").unwrap();
    let refused = "</dt><dd><a href=\"/console/p/demodelivery/refused\">1</a></dd>";
    assert!(card.starts_with(refused), "{card}");
    let (_, card) = card
        .split_once("Отказано, попыток больше не будет")
        .unwrap();
    assert!(card.starts_with(refused), "{card}");
}

/// What stands beside that name.
fn figure(page: &Seen, name: &str) -> String {
    let (_, rest) = page
        .text
        .split_once(&format!("<dt>{name}</dt><dd>"))
        .unwrap_or_else(|| panic!("no {name} in {}", page.text));
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_overview_tells_how_long_new_orders_took_to_1c_and_how_many_it_has() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    let mut anna = Browser::of(&app, "Анна").await;
    let orders: Vec<_> = (1..=6).map(|n| order(&format!("A-{n}"))).collect();
    app.post(&json!(orders)).await;
    let page = anna.get(OVERVIEW).await;
    assert_eq!(figure(&page, "Пришло"), "6");
    assert_eq!(figure(&page, "1С пока не сообщила"), "6");
    assert!(page.shows("1С не сообщала номеров этих заказов"));
    // 1C took three of them, after 2, 4 and 300 seconds; another was refused, and one it said it cannot take.
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, number, error, said_at)
         SELECT o.publication, o.number, 1, CASE WHEN o.sender_id <> 'A-5' THEN 'N' || o.number END,
                CASE WHEN o.sender_id = 'A-5' THEN 'нет цены' END,
                b.received_at + CASE WHEN o.sender_id = 'A-1' THEN 2 WHEN o.sender_id = 'A-2' THEN 4 ELSE 300 END * interval '1 second'
         FROM orders o JOIN journal_batch b ON b.publication = o.publication AND b.batch = o.made_by
         WHERE o.sender_id IN ('A-1', 'A-2', 'A-3', 'A-5');
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error)
         SELECT publication, '1c', number, 1, 1, now() + interval '1 hour', 'нет' FROM orders WHERE sender_id = 'A-4'",
    )
    .await;
    let page = anna.get(OVERVIEW).await;
    let figures = ["Пришло", "1С взяла", "1С отказала", "1С пока не сообщила"];
    assert_eq!(
        figures.map(|name| figure(&page, name)),
        ["6", "3", "2", "1"]
    );
    assert_eq!(
        figure(&page, "От прихода до 1С: половина не дольше"),
        "4,0 с"
    );
    assert_eq!(figure(&page, "дольше всего"), "5 мин");
    // It came in the day before yesterday, and is no new one.
    app.run(
        "UPDATE journal_batch SET received_at = now() - interval '2 days', stored_at = now() - interval '2 days', deadline = now()",
    )
    .await;
    assert!(!anna.get(OVERVIEW).await.shows("Новые заказы за сутки"));
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
