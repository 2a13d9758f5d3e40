//! The console's orders that 1C refused (contract §9): parked and dead ones, target by target, sent again.

use std::time::Duration;

use aqua_orders::{
    config::Config,
    store::{
        Store,
        console::Act,
        targets::{Finish, Refused, Takes, Target},
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    app::{TestApp, order},
    back_office::with_back_office,
    config::target as target_of,
    console::{Browser, Seen, operators},
};

const LIST: &str = "/console/p/demodelivery/refused";
const RESEND: &str = "/console/p/demodelivery/refused/resend";
const WITHHOLD: &str = "/console/p/demodelivery/refused/withhold";
const ONE_C: Target<'_> = Target {
    publication: "demodelivery",
    name: "1c",
    since: None,
};

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

async fn number(app: &TestApp, id: &str) -> i32 {
    let number = format!("SELECT number FROM orders WHERE sender_id = '{id}'");
    app.value(number).await
}

/// How many are parked, and how many are dead, as the metrics have it.
async fn standing(store: &Store) -> (i64, i64) {
    let takes = Takes {
        sender: true,
        operator: true,
        back_office: true,
    };
    let look = store.look_at_target(ONE_C, takes).await.unwrap();
    (look.parked, look.dead)
}

#[tokio::test]
async fn an_order_that_is_not_to_be_sent_any_more_waits_for_nobody_and_is_sent_again_on_demand() {
    let app = refused().await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let mut browser = Browser::of(&app, "Анна").await;
    assert_eq!(standing(&store).await, (2, 1));
    let (dead, parked) = (number(&app, "dead").await, number(&app, "parked").await);
    let form = [("target", "1c"), ("order", &*dead.to_string())];
    let done = browser.post_and_follow(WITHHOLD, &form).await;
    assert!(done.shows("Больше не отправляется"), "{}", done.text);
    assert_eq!(ids(&done), ["parked"]);
    let count = |page: &Seen, count| {
        let count = format!("Отказы 1С <span class=\"count\">{count}</span>");
        assert!(page.text.contains(&count), "no {count} in {}", page.text);
    };
    count(&done, 1);
    assert_eq!(standing(&store).await, (2, 0));
    // The second click of two, one that was taken, and one that is none.
    for order in [dead, number(&app, "taken").await, 999_999] {
        let form = [("target", "1c"), ("order", &*order.to_string())];
        let done = browser.post_and_follow(WITHHOLD, &form).await;
        assert!(done.shows("Ничего не сделано"), "{order}: {}", done.text);
    }
    // On the order's page. 1C says by itself that it does not have it, too.
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, error, said_at)
         SELECT publication, number, version, 'нет цены', now() FROM orders WHERE sender_id = 'parked'",
    )
    .await;
    let order = format!("/console/p/demodelivery/orders/{parked}");
    assert!(browser.get(&order).await.shows("Больше не отправлять"));
    let page = browser
        .post_and_follow(&format!("{order}/withhold"), &[("target", "1c")])
        .await;
    assert!(page.shows("Отказ, больше не отправляется"), "{}", page.text);
    assert!(page.shows("нет контрагента <b>parked"), "why stays");
    assert!(
        !page.text.contains("/withhold\""),
        "it is done: {}",
        page.text
    );
    let (_, history) = page.text.split_once("class=\"history\"").unwrap();
    assert!(history.contains("Больше не отправлять") && history.contains("→ 1c"));
    let list = browser.get(LIST).await;
    assert!(list.shows("Отказов нет.") && !list.text.contains("Отказы 1С <span"));
    let not_taken = browser
        .get("/console/p/demodelivery/orders?not_taken=1")
        .await;
    assert!(not_taken.shows("Таких заказов нет."), "{}", not_taken.text);
    let all = browser.get("/console/p/demodelivery/orders").await;
    let marks = all.text.matches("Отказ, больше не отправляется").count();
    assert_eq!(marks, 2, "{}", all.text);
    assert_eq!(standing(&store).await, (1, 0));
    // Whoever sends all again does not mean them.
    let all = [("target", "1c"), ("which", "all")];
    let done = browser.post_and_follow(RESEND, &all).await;
    assert!(done.shows("Отправлять нечего"));
    assert_eq!(due(&app).await, ["resent"]);

    // The way back.
    let resent = browser
        .post_and_follow(&format!("{order}/resend"), &[("target", "1c")])
        .await;
    assert!(!resent.shows("Отказ, больше не отправляется"));
    assert_eq!(due(&app).await, ["parked", "resent"]);
    assert_eq!(standing(&store).await, (2, 0));
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, order_number, details) FROM operator_action ORDER BY action")
        .await;
    assert_eq!(
        actions,
        [
            format!(r#"Анна withhold {dead} {{"target": "1c"}}"#),
            format!(r#"Анна withhold {parked} {{"target": "1c"}}"#),
            format!(r#"Анна resend {parked} {{"target": "1c"}}"#),
        ]
    );
    let mut boss = Browser::of(&app, "boss").await;
    let actions = boss.get("/console/p/demodelivery/actions").await;
    assert!(actions.shows("больше не отправлять: → 1c"));
    // Nothing of another target's or publication's.
    for (path, target) in [
        (WITHHOLD.to_owned(), "other"),
        (format!("{order}/withhold"), "other"),
        (
            "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/refused/withhold"
                .to_owned(),
            "1c",
        ),
    ] {
        let form = [("target", target), ("order", "1")];
        assert_eq!(browser.post(&path, &form).await.status, 404, "{path}");
    }
    let request = browser.form(WITHHOLD, &form);
    assert_eq!(browser.see(request).await.status, 403);
    store.close().await;
}

#[tokio::test]
async fn an_order_that_is_under_way_while_it_is_withheld_stays_so_until_it_changes() {
    let app = refused().await;
    // A target that the service does not know: here it is sent to by hand.
    app.run(
        "INSERT INTO target (publication, name) VALUES ('demodelivery', 'by hand');
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error)
         SELECT publication, 'by hand', number, 1, 1, now(), 'нет' FROM orders WHERE sender_id = 'parked'",
    )
    .await;
    let by_hand = Target {
        name: "by hand",
        ..ONE_C
    };
    let store = Store::new(app.database.options(), &app.database.settings());
    let order = number(&app, "parked").await;
    let withheld = "SELECT d.withheld::text || ' ' || d.refusals || ' ' || (d.next_try_at IS NULL)
                    FROM target_delivery d JOIN orders o ON o.publication = d.publication AND o.number = d.order_number
                    WHERE o.sender_id = 'parked' AND d.target = 'by hand'";
    let refused = async |version, then_withheld| {
        let token = Uuid::new_v4();
        let lease = Duration::from_mins(1);
        let claim = store.claim_target(by_hand, token, lease).await.unwrap();
        claim.expect("the lease");
        if then_withheld {
            let by = Act::of("Анна");
            assert!(store.withhold(by_hand, order, by).await.unwrap());
        }
        let finish = Finish {
            refused: vec![Refused {
                order_number: order,
                version,
                error: "нет".to_owned(),
                counts: true,
            }],
            ..Finish::default()
        };
        assert!(store.finish_sending(by_hand, token, &finish).await.unwrap());
        app.value::<String>(withheld).await
    };
    assert_eq!(refused(1, true).await, "true 2 true");
    assert_eq!(refused(1, false).await, "true 3 true");
    // A newer version is a new delivery, and what becomes of that somebody has to know.
    assert_eq!(refused(2, false).await, "false 1 false");
    store.close().await;
}

#[tokio::test]
async fn what_1c_said_by_itself_that_it_did_not_take_is_put_aside_and_comes_back() {
    let app = TestApp::with(|config| {
        operators(config);
        with_back_office(config);
    })
    .await;
    app.post(&json!([order("refused"), order("other")])).await;
    let refused = number(&app, "refused").await;
    let said = json!([{ "number": refused, "error": "нет такого района" }]);
    assert_eq!(app.report(&said).await.status, 200);
    let mut browser = Browser::of(&app, "Анна").await;
    let page = format!("/console/p/demodelivery/orders/{refused}");
    let not_taken = "/console/p/demodelivery/orders?not_taken=1";
    let settled = "/console/p/demodelivery/orders?withheld=1";
    let list = "/console/p/demodelivery/refused";
    assert!(browser.get(not_taken).await.shows("Найдено заказов: 1"));
    assert!(browser.get(settled).await.shows("Таких заказов нет."));

    let aside = format!("{page}/put_aside");
    let seen = browser
        .post_and_follow(&aside, &[("from", "refused")])
        .await;
    assert!(
        seen.shows("Отмечено: отказ разобран.") && seen.shows("Вернуть в список"),
        "{}",
        seen.text
    );
    assert!(seen.shows("Отказ разобран") && seen.shows("нет такого района"));
    assert!(seen.text.contains("← Отказы 1С"));
    // The second click of two does nothing.
    let again = browser.post_and_follow(&aside, &[]).await;
    assert!(again.shows("Ничего не сделано"), "{}", again.text);
    assert!(browser.get(not_taken).await.shows("Таких заказов нет."));
    let seen = browser.get(settled).await;
    assert!(
        seen.shows("Найдено заказов: 1") && seen.shows("Отказ разобран"),
        "{}",
        seen.text
    );
    let seen = browser.get(list).await;
    assert!(
        seen.text.contains("orders?withheld=1\">") && !seen.text.contains("not_taken=1"),
        "{}",
        seen.text
    );

    // The way back.
    let seen = browser
        .post_and_follow(&format!("{page}/put_back"), &[])
        .await;
    assert!(seen.shows("Снова в списке."), "{}", seen.text);
    assert!(browser.get(not_taken).await.shows("Найдено заказов: 1"));
    let actions: Vec<String> = app
        .values(
            "SELECT concat_ws(' ', login, kind, order_number) FROM operator_action ORDER BY action",
        )
        .await;
    assert_eq!(
        actions,
        [
            format!("Анна put_aside {refused}"),
            format!("Анна put_back {refused}")
        ]
    );

    // When 1C says something else, somebody has to know.
    browser.post(&aside, &[]).await;
    let said = json!([{ "number": refused, "error": "и улицы тоже нет" }]);
    assert_eq!(app.report(&said).await.status, 200);
    assert!(browser.get(not_taken).await.shows("Найдено заказов: 1"));
    // Of an order that 1C took there is nothing to put aside, nor of another publication's.
    let other = number(&app, "other").await;
    let other = format!("/console/p/demodelivery/orders/{other}/put_aside");
    assert!(
        browser
            .post(&other, &[])
            .await
            .location()
            .contains("done=no_refusal")
    );
    let mut boss = Browser::of(&app, "boss").await;
    let theirs = aside.replace(
        "demodelivery",
        "%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0",
    );
    assert!(
        boss.post(&theirs, &[])
            .await
            .location()
            .contains("done=no_refusal")
    );
    let theirs = browser.post(&theirs, &[]).await;
    assert_eq!(theirs.status, 404);
    let put_aside = "SELECT count(*) FROM order_receiver WHERE put_aside";
    assert_eq!(app.value::<i64>(put_aside).await, 0);
}
