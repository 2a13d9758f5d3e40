//! The console's orders that 1C refused (contract §9): parked and dead ones, target by target, sent again.

use aqua_orders::config::Config;
use serde_json::json;

use crate::support::{
    app::{TestApp, order},
    config::target as target_of,
    console::{Browser, Seen, operators},
};

const LIST: &str = "/console/p/demodelivery/refused";
const RESEND: &str = "/console/p/demodelivery/refused/resend";

fn with_targets(config: &mut Config) {
    operators(config);
    let targets = ["1c", "site"].map(|name| {
        let settings =
            format!("name = \"{name}\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n");
        target_of(&settings)
    });
    config.publications[0].targets = targets.to_vec();
}

/// Orders of which one is tried again, one is dead and one is sent again just now; nothing is sent meanwhile.
async fn refused() -> TestApp {
    let app = TestApp::with(with_targets).await;
    app.run(
        "INSERT INTO target (publication, name, paused) VALUES ('demodelivery', '1c', true), ('demodelivery', 'site', true)
         ON CONFLICT (publication, name) DO UPDATE SET paused = true",
    )
    .await;
    app.post(&json!([
        order("parked"),
        order("dead"),
        order("resent"),
        order("taken")
    ]))
    .await;
    app.run(
        "INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error)
         SELECT publication, '1c', number, version, CASE WHEN sender_id = 'dead' THEN 7 WHEN sender_id = 'parked' THEN 1 ELSE 0 END,
                CASE WHEN sender_id = 'parked' THEN now() + interval '1 hour' WHEN sender_id = 'resent' THEN now() END,
                'нет контрагента <b>' || sender_id
         FROM orders WHERE publication = 'demodelivery' AND sender_id <> 'taken';
         INSERT INTO target_attempt (publication, target, attempt, began_at, milliseconds, status, orders, taken, refused, error)
         VALUES ('demodelivery', '1c', gen_random_uuid(), now(), 42, 200, 3, 1, 2, '<i>two were refused')",
    )
    .await;
    app
}

/// The ids that the list has, in its order.
fn ids(list: &Seen) -> Vec<String> {
    let rows = list.text.split("<th scope=\"row\">").skip(1);
    let ids = rows.map(|row| row.split("class=\"muted\">").nth(1).unwrap());
    ids.map(|id| id.split('<').next().unwrap().to_owned())
        .collect()
}

async fn due(app: &TestApp) -> Vec<String> {
    app.values(
        "SELECT o.sender_id FROM target_delivery d
         JOIN orders o ON o.publication = d.publication AND o.number = d.order_number
         WHERE d.next_try_at <= now() ORDER BY 1",
    )
    .await
}

#[tokio::test]
async fn a_refused_order_is_seen_with_its_reason_and_sent_again() {
    let app = refused().await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(LIST).await;
    assert_eq!(ids(&list), ["dead", "parked"]);
    assert!(list.shows("нет контрагента <b>dead") && list.shows("нет контрагента <b>parked"));
    assert!(list.shows("Отказ, попыток больше не будет") && list.shows("приостановлено"));
    assert!(list.shows("<i>two were refused") && list.shows("42"));
    assert!(!list.text.contains("<b>") && !list.text.contains("<i>"));
    assert!(
        list.text
            .contains("Отказы 1С <span class=\"count\">2</span>")
    );
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'parked'")
        .await;
    let number = number.to_string();
    let form = [("target", "1c"), ("which", &*number)];
    let done = browser.post_and_follow(RESEND, &form).await;
    assert!(done.shows("Будет отправлено ещё раз."));
    assert_eq!(ids(&done), ["dead"]);
    assert_eq!(due(&app).await, ["parked", "resent"]);
    // The second click of two, and one that was never refused.
    let done = browser.post_and_follow(RESEND, &form).await;
    assert!(done.shows("Отправлять нечего"));
    let taken: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'taken'")
        .await;
    let taken = [("target", "1c"), ("which", &*taken.to_string())];
    let done = browser.post_and_follow(RESEND, &taken).await;
    assert!(done.shows("Отправлять нечего"));
    assert_eq!(app.count("target_delivery").await, 3);
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, order_number, details) FROM operator_action")
        .await;
    assert_eq!(
        actions,
        [format!(r#"Анна resend {number} {{"target": "1c"}}"#)]
    );
}

#[tokio::test]
async fn dead_ones_and_all_are_sent_again_at_once() {
    let app = refused().await;
    let mut browser = Browser::of(&app, "Анна").await;
    let dead = [("target", "1c"), ("which", "dead")];
    let done = browser.post_and_follow(RESEND, &dead).await;
    assert_eq!(ids(&done), ["parked"]);
    assert_eq!(due(&app).await, ["dead", "resent"]);
    let all = [("target", "1c"), ("which", "all")];
    let done = browser.post_and_follow(RESEND, &all).await;
    assert!(done.shows("Отказов нет.") && done.shows("Будет отправлено ещё раз."));
    let done = browser.post_and_follow(RESEND, &all).await;
    assert!(done.shows("Отправлять нечего"));
    let actions: Vec<String> = app
        .values("SELECT details::text FROM operator_action ORDER BY made_at")
        .await;
    assert_eq!(
        actions, [r#"{"orders": 1, "target": "1c"}"#; 2],
        "the third found nothing"
    );
    let mut boss = Browser::of(&app, "boss").await;
    let actions = boss.get("/console/p/demodelivery/actions").await;
    assert!(actions.shows("повторная отправка: → 1c, заказы: 1"));
}

#[tokio::test]
async fn a_target_that_is_none_and_another_publications_are_not_found() {
    let app = refused().await;
    let mut anna = Browser::of(&app, "Анна").await;
    for form in [
        [("target", "other"), ("which", "all")],
        [("target", "1c"), ("which", "everything")],
    ] {
        assert_eq!(anna.post(RESEND, &form).await.status, 404, "{form:?}");
    }
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/refused";
    assert_eq!(anna.get(theirs).await.status, 404);
    let form = [("target", "1c"), ("which", "all")];
    let resend = format!("{theirs}/resend");
    assert_eq!(anna.post(&resend, &form).await.status, 404);
    let mut boss = Browser::of(&app, "boss").await;
    // The same name there is another target.
    assert_eq!(boss.post(&resend, &form).await.status, 404);
    assert!(boss.get(theirs).await.shows("Отправка в 1С не настроена."));
    let request = anna.form(RESEND, &form);
    assert_eq!(anna.see(request).await.status, 403);
    assert_eq!(due(&app).await, ["resent"]);
}

#[tokio::test]
async fn what_1c_said_it_did_not_take_is_counted_with_them() {
    let app = refused().await;
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, error, said_at)
         SELECT publication, number, version, 'нет цены', now()
         FROM orders WHERE publication = 'demodelivery' AND sender_id = 'taken'",
    )
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(LIST).await;
    assert!(
        list.text
            .contains("Отказы 1С <span class=\"count\">3</span>")
    );
    let (_, link) = list
        .text
        .split_once("/console/p/demodelivery/orders?not_taken=1\"")
        .unwrap();
    assert!(link.split("</p>").next().unwrap().contains(">3<"));
}

#[tokio::test]
async fn a_long_list_goes_on_page_by_page() {
    let app = refused().await;
    app.run(
        "INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, created_at, total, shipping_date_from,
                             shipping_date_to, shipping_address)
         SELECT publication, 1000000 + n, gen_random_uuid(), 'more ' || n, 'new', client_number, now(), 1, now(), now(), shipping_address
         FROM orders, generate_series(1, 110) n WHERE publication = 'demodelivery' AND sender_id = 'taken';
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, error)
         SELECT publication, '1c', number, 1, 7, 'no' FROM orders WHERE publication = 'demodelivery' AND number > 1000000",
    )
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let mut path = LIST.to_owned();
    let mut all = Vec::new();
    for _ in 0..3 {
        let seen = browser.get(&path).await;
        all.extend(ids(&seen));
        let Some((_, older)) = seen.text.rsplit_once("?target=1c&#38;below=") else {
            break;
        };
        path = format!(
            "{LIST}?target=1c&below={}",
            older.split('"').next().unwrap()
        );
    }
    assert_eq!(all.len(), 112, "{all:?}");
    assert_eq!((&*all[0], &*all[111]), ("more 110", "parked"));
    assert!(
        browser
            .get(LIST)
            .await
            .text
            .contains("class=\"count\">99+<")
    );
}
