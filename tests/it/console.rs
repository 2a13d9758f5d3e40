//! The operator's console (contract §9): who gets in, and what nobody else's page can make him do.

use std::sync::Arc;

use aqua_orders::{
    config::{Config, OperatorRole},
    retention,
    store::Store,
};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    app::{TestApp, changed, guest_order, order},
    config::{demo_config, target as target_of},
    console::{Browser, PASSWORD, operator, operators},
    postgres::{DURABLE, Server},
};

const OVERVIEW: &str = "/console/p/demodelivery/overview";
const ORDERS: &str = "/console/p/demodelivery/orders";
const ACTIONS: &str = "/console/p/demodelivery/actions";

#[tokio::test]
async fn without_an_operator_there_is_no_console() {
    let app = TestApp::start().await;
    for path in ["/console", "/console/login", ORDERS] {
        assert_eq!(app.operator(path).await.0, 404, "{path}");
    }
    let app = TestApp::with(operators).await;
    assert_eq!(app.operator("/console/login").await.0, 200);
    // Senders never see it.
    let senders = Browser::at(app.address).get("/console/login").await;
    assert_eq!(senders.status, 404);
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_led_to_the_login_and_back() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::at(app.operators_address);
    for path in [
        "/console",
        ORDERS,
        ACTIONS,
        "/console/p/demodelivery/orders?status=new",
    ] {
        let seen = browser.get(path).await;
        assert_eq!(seen.status, 303, "{path}");
        assert!(
            seen.location().starts_with("/console/login?next="),
            "{}",
            seen.location()
        );
    }
    let login = browser
        .get("/console/p/demodelivery/orders?status=new")
        .await;
    let form = browser.get(login.location()).await;
    let next = form.field("next");
    assert_eq!(next, "/console/p/demodelivery/orders?status=new");
    let form = [("login", "Анна"), ("password", PASSWORD), ("next", &next)];
    let list = browser.post_and_follow("/console/login", &form).await;
    assert_eq!(list.status, 200);
    assert!(list.shows("Заказы"));
    assert_eq!(browser.get("/console").await.location(), OVERVIEW);
}

#[tokio::test]
async fn a_wrong_password_an_unknown_login_and_a_senders_look_the_same() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::at(app.operators_address);
    let mut texts = Vec::new();
    for (login, password) in [("Анна", "other"), ("nobody", PASSWORD), ("", "")] {
        let seen = browser.log_in(login, password).await;
        assert_eq!(seen.status, 403);
        assert!(seen.shows("Логин или пароль не подходит."));
        texts.push(seen.text.replace(&format!("value=\"{login}\""), ""));
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(browser.cookies, []);
    assert_eq!(app.count("operator_session").await, 0);
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down() {
    let app = TestApp::with(|config| {
        operators(config);
        config.logins.free_failures = 1;
        config.logins.longest_pause = std::time::Duration::from_hours(1);
    })
    .await;
    let mut browser = Browser::at(app.operators_address);
    let client = browser.moved_to(app.operators_address);
    for _ in 0..3 {
        browser.log_in("Анна", "wrong").await;
    }
    // The next one waits for so long that others are told to come again.
    let mut refused = 0;
    let tries = (0..8).map(|_| {
        let mut browser = client.moved_to(app.operators_address);
        tokio::spawn(async move {
            let login = browser.log_in("Анна", PASSWORD);
            let seen = tokio::time::timeout(std::time::Duration::from_millis(400), login).await;
            seen.ok().map(|seen| seen.status.as_u16())
        })
    });
    for tried in tries.collect::<Vec<_>>() {
        if tried.await.unwrap() == Some(503) {
            refused += 1;
        }
    }
    assert!(refused > 0, "nobody was told to wait");
}

#[tokio::test]
async fn a_session_is_a_cookie_that_any_instance_knows_until_its_owner_logs_out() {
    let app = TestApp::with(operators).await;
    let other = TestApp::beside(app.database.clone(), operators).await;
    let mut browser = Browser::at(app.operators_address);
    let seen = browser.log_in("Анна", PASSWORD).await;
    let cookie = seen.headers["set-cookie"].to_str().unwrap();
    for part in [
        "HttpOnly",
        "SameSite=Strict",
        "Path=/console",
        "Max-Age=43200",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let token = browser.cookies[0].1.clone();
    assert!(token.len() >= 64, "{token}");
    let stored: String = app
        .value("SELECT encode(token_hash, 'hex') FROM operator_session")
        .await;
    assert_ne!(stored, token, "the database holds a hash");

    let mut elsewhere = browser.moved_to(other.operators_address);
    assert_eq!(elsewhere.get(ORDERS).await.status, 200);
    let before = browser.cookies.clone();
    let out = browser.post("/console/logout", &[]).await;
    assert_eq!(
        (out.status.as_u16(), out.location()),
        (303, "/console/login")
    );
    assert_eq!(browser.cookies, [], "the browser forgets it");
    for address in [app.operators_address, other.operators_address] {
        let mut thief = Browser::at(address);
        thief.cookies.clone_from(&before);
        assert!(
            thief
                .get(ORDERS)
                .await
                .location()
                .starts_with("/console/login")
        );
    }
}

#[tokio::test]
async fn each_login_begins_a_session_of_a_new_id_and_ends_the_one_before() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let before = browser.cookies.clone();
    browser.log_in("boss", PASSWORD).await;
    assert_ne!(browser.cookies, before);
    assert_eq!(app.count("operator_session").await, 1);
    // An id that somebody else chose is none.
    let mut fixed = Browser::at(app.operators_address);
    fixed.cookies = vec![("aqua-console".into(), "chosen".into())];
    fixed.log_in("Анна", PASSWORD).await;
    assert_ne!(fixed.cookies[0].1, "chosen");
}

#[tokio::test]
async fn a_session_ends_after_an_hour_without_a_request_and_after_twelve_in_any_case() {
    let app = TestApp::with(operators).await;
    for (ago, lives) in [
        ("seen_at = now() - interval '59 minutes'", true),
        ("seen_at = now() - interval '61 minutes'", false),
        ("created_at = now() - interval '11 hours 59 minutes'", true),
        ("created_at = now() - interval '12 hours 1 minute'", false),
    ] {
        let mut browser = Browser::of(&app, "Анна").await;
        app.run(format!("UPDATE operator_session SET {ago}")).await;
        assert_eq!(browser.get(ORDERS).await.status == 200, lives, "{ago}");
        app.run("DELETE FROM operator_session").await;
    }
    // A request goes on with it.
    let mut browser = Browser::of(&app, "Анна").await;
    app.run("UPDATE operator_session SET seen_at = now() - interval '50 minutes'")
        .await;
    browser.get(ORDERS).await;
    let fresh: bool = app
        .value("SELECT seen_at > now() - interval '1 minute' FROM operator_session")
        .await;
    assert!(fresh);
}

#[tokio::test]
async fn another_password_or_a_removed_operator_ends_the_session_everywhere() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let changed_hash = |config: &mut Config| {
        // The same password with another salt: another hash.
        config.operator.users = vec![operator(
            "Анна",
            OperatorRole::Dispatcher,
            &["demodelivery"],
        )];
    };
    let removed = |config: &mut Config| {
        operators(config);
        config.operator.users.remove(0);
    };
    let with_hash = TestApp::beside(app.database.clone(), changed_hash).await;
    let without = TestApp::beside(app.database.clone(), removed).await;
    for address in [with_hash.operators_address, without.operators_address] {
        let mut elsewhere = browser.moved_to(address);
        let seen = elsewhere.get(ORDERS).await;
        assert!(
            seen.location().starts_with("/console/login"),
            "{}",
            seen.status
        );
    }
    assert_eq!(browser.get(ORDERS).await.status, 200);
}

#[tokio::test]
async fn a_change_that_comes_from_another_site_or_from_nowhere_is_refused() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::of(&app, "boss").await;
    let own = format!("http://{}", app.operators_address);
    for path in [
        "/console/logout",
        "/console/login",
        "/console/language",
        ORDERS,
        "/console/p/demodelivery/orders/1/status",
        "/console/p/demodelivery/orders/1/resend",
    ] {
        for (name, value) in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Sec-Fetch-Site", "none"),
            ("X-Nothing", "1"),
        ] {
            let request = browser.form(path, &[]).header(name, value);
            let seen = browser.see(request).await;
            assert_eq!(seen.status, 403, "{path} {name}: {value}");
        }
    }
    assert_eq!(browser.get(ORDERS).await.status, 200, "still logged in");
    let request = browser.form("/console/logout", &[]).header("Origin", own);
    assert_eq!(browser.see(request).await.status, 303);
}

#[tokio::test]
async fn every_response_is_kept_by_nobody_and_loads_nothing_from_elsewhere() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::of(&app, "boss").await;
    for path in [
        "/console",
        "/console/login",
        OVERVIEW,
        ORDERS,
        ACTIONS,
        "/console/nowhere",
        "/console/p/other/orders",
    ] {
        let seen = browser.get(path).await;
        assert_eq!(seen.headers["cache-control"], "no-store", "{path}");
        let policy = seen.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for inline in [
            "<style", " style=", "onclick=", "http://", "https://", "<script>",
        ] {
            assert!(!seen.text.contains(inline), "{inline} in {path}");
        }
    }
    // What pages load is loaded once.
    let list = browser.get(ORDERS).await;
    let assets: Vec<&str> = list
        .text
        .split('"')
        .filter(|part| part.starts_with("/console/assets/"))
        .collect();
    assert!(assets.len() >= 3, "{assets:?}");
    for asset in assets {
        let seen = browser.get(asset).await;
        assert_eq!(seen.status, 200, "{asset}");
        assert!(
            seen.headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }
    let old = browser.get("/console/assets/old/console.css").await;
    assert_eq!(old.headers["cache-control"], "no-cache");
    assert_eq!(browser.get("/console/assets/old/mod.rs").await.status, 404);
}

#[tokio::test]
async fn a_stranger_to_the_hosts_names_gets_no_console() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::at(app.operators_address);
    let request = browser
        .request(Method::GET, "/console/login")
        .header("Host", "evil.example");
    assert_eq!(browser.see(request).await.status, 421);
}

#[tokio::test]
async fn a_dispatcher_sees_no_page_of_an_admins_and_no_other_publication() {
    let app = TestApp::with(operators).await;
    let mut anna = Browser::of(&app, "Анна").await;
    let mut boss = Browser::of(&app, "boss").await;
    assert_eq!(anna.get(ACTIONS).await.status, 403);
    assert_eq!(boss.get(ACTIONS).await.status, 200);
    assert!(!anna.get(ORDERS).await.text.contains("/actions"));
    assert!(boss.get(ORDERS).await.text.contains("/actions"));
    let other = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/orders";
    assert_eq!(boss.get(other).await.status, 200);
    let unknown = "/console/p/unknown/orders";
    let (theirs, nobodys) = (anna.get(other).await, anna.get(unknown).await);
    assert_eq!(
        (theirs.status.as_u16(), nobodys.status.as_u16()),
        (404, 404)
    );
    assert_eq!(theirs.text, nobodys.text);
}

#[tokio::test]
async fn the_language_is_the_browsers_or_the_one_that_was_chosen() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::of(&app, "Анна").await;
    assert!(
        browser
            .get(ORDERS)
            .await
            .text
            .contains("<html lang=\"ru\">")
    );
    let request = browser
        .request(Method::GET, ORDERS)
        .header("Accept-Language", "en-US,en");
    assert!(
        browser
            .see(request)
            .await
            .text
            .contains("<html lang=\"en\">")
    );
    let form = [("language", "en"), ("next", ORDERS)];
    let list = browser.post_and_follow("/console/language", &form).await;
    assert!(list.text.contains("<html lang=\"en\">"));
    assert!(list.shows("Log out"));
}

#[tokio::test]
async fn the_list_shows_orders_the_newest_first_page_by_page() {
    let app = TestApp::with(operators).await;
    let mut batch = Vec::new();
    for n in 0..120 {
        let at = format!("2026-11-0{}T10:{:02}:00Z", 1 + n / 60, n % 60);
        batch.push(changed(order(&format!("A-{n:03}")), "/created_at", at));
    }
    app.post(&json!(batch)).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let mut path = ORDERS.to_owned();
    let mut ids = Vec::new();
    let mut pages = 0;
    loop {
        let seen = browser.get(&path).await;
        assert_eq!(seen.status, 200);
        assert!(pages < 3, "{path}");
        let found = seen.text.split("<span class=\"muted id\">").skip(1);
        ids.extend(found.map(|rest| rest.split('<').next().unwrap().to_owned()));
        pages += 1;
        let (_, links) = seen.text.rsplit_once("class=\"pages\"").unwrap();
        let Some((_, after)) = links.rsplit_once("after=") else {
            break;
        };
        path = format!("{ORDERS}?after={}", after.split('"').next().unwrap());
    }
    let due: Vec<String> = (0..120).rev().map(|n| format!("A-{n:03}")).collect();
    assert_eq!((ids, pages), (due, 3));
    // The publication's time.
    assert!(browser.get(ORDERS).await.shows("02.11.2026 13:59"));
}

#[tokio::test]
async fn the_list_is_filtered_by_status_dates_and_what_is_wrong_with_orders() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    app.run(
        "INSERT INTO target (publication, name, paused) VALUES ('demodelivery', '1c', true)
         ON CONFLICT (publication, name) DO UPDATE SET paused = true",
    )
    .await;
    let matched = |id: &str, day: u32| {
        let sent = changed(
            order(id),
            "/created_at",
            format!("2026-11-{day:02}T10:00:00Z"),
        );
        changed(sent, "/order_item_list/0/product_id", "known")
    };
    app.run(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 1, 'Вода');
         INSERT INTO product_sender_id VALUES ('demodelivery', 'known', 1)",
    )
    .await;
    let unmatched = changed(
        matched("unmatched", 4),
        "/order_item_list/0/product_id",
        "other",
    );
    let remarked = changed(matched("remarked", 3), "/coins", "many");
    let gone = changed(matched("gone", 2), "/status", "removed");
    app.post(&json!([
        matched("plain", 1),
        gone,
        remarked,
        unmatched,
        matched("refused", 5)
    ]))
    .await;
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, error, said_at)
         SELECT publication, number, version, 'нет такого контрагента', now() FROM orders WHERE sender_id = 'refused'",
    )
    .await;
    // Refused when it was sent; by a target that there is no more; and about to be sent again.
    app.run(
        "INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error)
         SELECT publication, target, number, version, 1, next_try_at, 'дубль' FROM orders, (VALUES
             ('1c', 'gone', NULL), ('old', 'plain', NULL), ('1c', 'plain', now()), ('1c', 'refused', NULL)
         ) AS d (target, id, next_try_at) WHERE sender_id = id",
    )
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    for (query, due) in [
        ("", "refused unmatched remarked gone plain"),
        ("?status=new", "refused unmatched remarked plain"),
        ("?status=removed", "gone"),
        ("?status=completed", ""),
        ("?from=2026-11-03&to=2026-11-04", "unmatched remarked"),
        ("?unmatched=1", "unmatched"),
        ("?remarks=1", "remarked"),
        ("?not_taken=1", "refused gone"),
        ("?not_taken=1&status=removed", "gone"),
        ("?not_taken=1&unmatched=1", ""),
        ("?remarks=1&status=removed", ""),
        ("?remarks=1&from=2026-11-03", "remarked"),
        ("?remarks=1&to=2026-11-02", ""),
    ] {
        let seen = browser.get(&format!("{ORDERS}{query}")).await;
        let found = seen.text.split("<span class=\"muted id\">").skip(1);
        let ids: Vec<&str> = found.map(|rest| rest.split('<').next().unwrap()).collect();
        assert_eq!(ids.join(" "), due, "{query}");
        let marks = seen.text.matches("<span class=\"badge bad\">").count();
        let refused = ids.iter().filter(|id| ["refused", "gone"].contains(id));
        assert_eq!(marks, refused.count(), "{query}");
        let counted = format!("Найдено заказов: {} на ", ids.len());
        assert_eq!(seen.shows(&counted), !ids.is_empty(), "{query}");
    }
    // As many as the navigation says.
    let seen = browser.get(ORDERS).await;
    assert!(
        seen.text
            .contains("Отказы 1С <span class=\"count\">2</span>"),
        "{}",
        seen.text
    );
    // What was settled is no remark any more, in the list either.
    app.run("UPDATE journal_rejected SET settled_at = now()")
        .await;
    let settled = browser.get(&format!("{ORDERS}?remarks=1")).await;
    assert!(settled.shows("Таких заказов нет."));
    assert!(!browser.get(ORDERS).await.shows("Замечания"));
    // Nor is a product missing that is to be none.
    app.run("INSERT INTO product_left_empty (publication, sender_id, login) VALUES ('demodelivery', 'other', 'Анна')")
        .await;
    let seen = browser.get(&format!("{ORDERS}?unmatched=1")).await;
    assert!(!seen.text.contains(">unmatched<"), "{}", seen.text);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_told_so_and_lists_and_exports_nothing() {
    let app = TestApp::with(operators).await;
    app.accept(&changed(
        order("A-1"),
        "/created_at",
        "2026-11-26T10:00:00Z",
    ))
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    for (form, told) in [
        ([("from", "abc"), ("to", "")], "Такой даты нет: abc."),
        (
            [("from", "2026-02-31"), ("to", "")],
            "Такой даты нет: 2026-02-31.",
        ),
        (
            [("from", "2026-11-27"), ("to", "2026-11-26")],
            "Начало периода позже конца.",
        ),
        (
            [("status", "lost"), ("to", "")],
            "Такого статуса нет: lost.",
        ),
        (
            [("from", ""), ("to", "<script>")],
            "Такой даты нет: <script>.",
        ),
    ] {
        let query = form
            .map(|(name, value)| format!("{name}={value}"))
            .join("&");
        let list = browser.get(&format!("{ORDERS}?{query}")).await;
        let export = [&form[..], &[("format", "csv")]].concat();
        let export = browser.post(&format!("{ORDERS}/export"), &export).await;
        for seen in [list, export] {
            assert_eq!(seen.status, 400, "{query}");
            assert!(
                seen.shows(told) && !seen.shows("A-1"),
                "{query}: {}",
                seen.text
            );
            assert!(!seen.text.contains("<script>"));
        }
    }
    assert_eq!(app.count("operator_action").await, 0);
    // As somebody types it, it is read.
    for (query, found) in [
        ("from=26.11.2026&to=26.11.2026", true),
        ("from=27.11.2026", false),
    ] {
        let seen = browser.get(&format!("{ORDERS}?{query}")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.shows("A-1")),
            (200, found),
            "{query}"
        );
        assert!(seen.text.contains("value=\"2026-11-2"), "the field has it");
    }
    // The usual ones are one click away, and keep what else is asked for.
    let seen = browser
        .get(&format!("{ORDERS}?status=new&unmatched=1"))
        .await;
    let links = seen.text.matches("?status=new&#38;from=").count();
    assert_eq!(links, 3, "{}", seen.text);
    assert!(!seen.text.contains("aria-current=\"true\""));
    let (_, week) = seen.text.rsplit_once("?status=new&#38;from=").unwrap();
    let week = week.split('"').next().unwrap().replace("&#38;", "&");
    let seen = browser.get(&format!("{ORDERS}?from={week}")).await;
    assert_eq!(seen.text.matches("aria-current=\"true\"").count(), 1);
    assert!(seen.text.contains("aria-current=\"true\">Прошлая неделя"));
}

#[tokio::test]
async fn more_orders_than_are_counted_are_told_to_be_more() {
    let app = TestApp::with(operators).await;
    let add = |from: i32, to: i32| {
        app.run(format!(
            "INSERT INTO client (publication, number, sender_id, username) VALUES ('demodelivery', 1, 'c', 'Клиент')
             ON CONFLICT DO NOTHING;
             INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, created_at, total,
                                 shipping_date_from, shipping_date_to, shipping_address)
             SELECT 'demodelivery', n, gen_random_uuid(), 'order ' || n, 'new', 1, now() - n * interval '1 minute', 710.5, now(), now(),
                    '{{\"city\": \"С\", \"street\": \"К\", \"house\": \"1\", \"str\": \"К 1\"}}'
             FROM generate_series({from}, {to}) n"
        ))
    };
    let mut browser = Browser::of(&app, "Анна").await;
    add(1, 1_000).await;
    let seen = browser.get(&format!("{ORDERS}?status=new")).await;
    assert!(
        seen.shows("Найдено заказов: 1\u{a0}000 на 710\u{a0}500\u{a0}₽"),
        "{}",
        seen.text
    );
    add(1_001, 1_001).await;
    let seen = browser.get(ORDERS).await;
    assert!(
        seen.shows("Найдено заказов: больше 1\u{a0}000"),
        "{}",
        seen.text
    );
}

#[tokio::test]
async fn an_order_is_found_by_number_id_1cs_number_phone_and_name() {
    let app = TestApp::with(operators).await;
    let caller = changed(
        guest_order("caller", "8 (908) 328-08-32"),
        "/client/username",
        "Иванов Пётр",
    );
    let listed = changed(
        order("listed"),
        "/client/phones",
        json!(["+7 911 000-11-22", "+79110003344"]),
    );
    app.post(&json!([caller, listed, order("А-17")])).await;
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, number, said_at)
         SELECT publication, number, version, 'АВ-000123', now() FROM orders WHERE sender_id = 'caller'",
    )
    .await;
    let number = async |id: &str| -> i32 {
        app.value(format!(
            "SELECT number FROM orders WHERE sender_id = '{id}'"
        ))
        .await
    };
    let (caller, listed, third) = (
        number("caller").await,
        number("listed").await,
        number("А-17").await,
    );
    let mut browser = Browser::of(&app, "Анна").await;
    for (typed, due) in [
        ("0832", caller),
        ("+7 908 328 08 32", caller),
        ("89083280832", caller),
        ("иванов", caller),
        ("ИВАНОВ п", caller),
        ("caller", caller),
        ("АВ-000123", caller),
        (&*format!(" №{caller} "), caller),
        ("1122", listed),
        ("3344", listed),
        ("А-17", third),
    ] {
        let seen = browser.post(ORDERS, &[("q", typed)]).await;
        assert_eq!(seen.location(), format!("{ORDERS}/{due}"), "{typed}");
    }
    let nothing = browser.post_and_follow(ORDERS, &[("q", "Сидоров")]).await;
    assert!(nothing.shows("Таких заказов нет.") && nothing.shows("Ищутся наш номер"));
    // Both of the tests' clients are called so.
    let sent = browser.post(ORDERS, &[("q", "василий")]).await;
    let cookie = sent.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(
        sent.location(),
        format!("{ORDERS}/found"),
        "a name is in no address"
    );
    let several = browser.get(sent.location()).await;
    assert_eq!(several.status, 200);
    // Whoever looks at one of them comes back to them.
    let order = browser.get(&format!("{ORDERS}/{listed}?from=found")).await;
    assert!(
        order
            .text
            .contains(&format!("href=\"{ORDERS}/found\">← Найденное")),
        "{}",
        order.text
    );
    let again = browser.get(&format!("{ORDERS}/found")).await;
    assert!(again.shows("listed") && again.field("q") == "василий");
    assert!(several.shows("listed") && several.shows("А-17") && !several.shows("caller"));
    assert_eq!(
        browser.post(ORDERS, &[("q", "  ")]).await.location(),
        ORDERS
    );
    // Whoever logs out leaves nothing behind.
    browser.post("/console/logout", &[]).await;
    assert_eq!(browser.cookies, []);
}

#[tokio::test]
async fn what_has_just_that_number_comes_first_and_a_surname_is_found_behind_the_name() {
    let app = TestApp::with(operators).await;
    let named = |id: &str, name: &str| changed(order(id), "/client/username", name);
    app.post(&json!([
        named("4455", "Анна Петрова"),
        named("B-1", "Петрова Анна"),
        named("C-1", "Пётр Аннин")
    ]))
    .await;
    // A newer order of a client whose phone ends so.
    app.post(&json!([guest_order("newer", "8 908 328-44-55")]))
        .await;
    app.run("UPDATE orders SET created_at = '2100-01-01 00:00Z' WHERE sender_id = 'newer'")
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let found = browser.post_and_follow(ORDERS, &[("q", "4455")]).await;
    let at = |part: &str| {
        found
            .text
            .find(&format!("class=\"muted id\">{part}<"))
            .expect(part)
    };
    assert!(at("4455") < at("newer"), "{}", found.text);
    for typed in ["петрова", "Петрова Анна", "анна  петрова"] {
        let found = browser.post_and_follow(ORDERS, &[("q", typed)]).await;
        let has = |id: &str| found.text.contains(&format!("class=\"muted id\">{id}<"));
        assert!(
            has("4455") && has("B-1") && !has("C-1"),
            "{typed}: {}",
            found.text
        );
    }
}

#[tokio::test]
async fn an_x_request_id_leads_to_its_call() {
    let app = TestApp::with(operators).await;
    app.post(&json!([
        order("A-1"),
        changed(order("B-1"), "/total", "дорого")
    ]))
    .await;
    let ours: String = app.value("SELECT request_id FROM journal_batch").await;
    let mut browser = Browser::of(&app, "Анна").await;
    let found = browser.post_and_follow(ORDERS, &[("q", &ours)]).await;
    assert!(found.shows(&ours) && found.shows("Вызов"), "{}", found.text);
    assert!(
        found.text.contains("<dt>Принято</dt><dd>1</dd>")
            && found.text.contains("<dt>Отклонено</dt><dd>1</dd>")
    );
    assert!(
        found.text.contains("/kept/") && found.shows("B-1"),
        "{}",
        found.text
    );
    assert!(!found.shows("Таких заказов нет."));
    // A sender's own, too, and of thousands of calls one that we named.
    app.run("UPDATE journal_batch SET request_id = 'site-42/retry' WHERE request_id <> ''")
        .await;
    let found = browser
        .post_and_follow(ORDERS, &[("q", " site-42/retry ")])
        .await;
    assert!(
        found.shows("site-42/retry") && found.shows("Отклонено"),
        "{}",
        found.text
    );
    app.run(format!(
        "UPDATE journal_batch SET request_id = '{ours}';
         INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders, accepted, rejected,
                                    updated_rows, changed_rows)
         SELECT publication, gen_random_uuid(), received_at + n * interval '1 second', stored_at, deadline, 'n' || n, 1, 1, 0, 0, 0
         FROM journal_batch CROSS JOIN generate_series(1, 3000) n"
    ))
    .await;
    let found = browser.post_and_follow(ORDERS, &[("q", &ours)]).await;
    assert!(found.shows("Отклонено"), "{}", found.text);
    let mut boss = Browser::of(&app, "boss").await;
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/orders";
    let nothing = boss.post_and_follow(theirs, &[("q", &ours)]).await;
    assert!(nothing.shows("Таких заказов нет."), "{}", nothing.text);
}

#[tokio::test]
async fn a_rejected_order_is_found_by_its_id() {
    let app = TestApp::with(operators).await;
    let bad = |id: &str| changed(order(id), "/total", "дорого");
    app.post(&json!([bad("48494"), order("A-1"), "#0"])).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let seen = browser.post(ORDERS, &[("q", "48494")]).await;
    assert!(
        seen.location().starts_with("/console/p/demodelivery/kept/"),
        "{}",
        seen.location()
    );
    // Settled or not.
    browser
        .post(&format!("{}/settle", seen.location()), &[])
        .await;
    let again = browser.post(ORDERS, &[("q", "48494")]).await;
    assert_eq!(again.location(), seen.location());
    // Of an order that was taken, and of those without an id, no attempt is found.
    let taken = browser.post(ORDERS, &[("q", "A-1")]).await;
    assert!(
        taken.location().starts_with(&format!("{ORDERS}/")),
        "{}",
        taken.location()
    );
    let nothing = browser.post_and_follow(ORDERS, &[("q", "#2")]).await;
    assert!(nothing.shows("Таких заказов нет."));
    // Beside an order that has such a number elsewhere, it is a link.
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, number, said_at)
             SELECT publication, number, version, '48494', now() FROM orders",
    )
    .await;
    let both = browser.post_and_follow(ORDERS, &[("q", "48494")]).await;
    assert!(
        both.text
            .contains(&format!("href=\"{}\">48494", seen.location())),
        "{}",
        both.text
    );
    assert!(both.shows("A-1"));
}

#[tokio::test]
async fn people_who_click_at_the_same_time_get_every_page() {
    let app = TestApp::with(operators).await;
    app.accept(&order("1")).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    let person = Browser::of(&app, "boss").await;
    for page in [
        format!("{ORDERS}/{number}"),
        "/console/p/demodelivery/overview".into(),
        ORDERS.into(),
        format!("{ORDERS}/{number}"),
    ] {
        let mut clicks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut person = person.moved_to(app.operators_address);
            let page = page.clone();
            clicks.spawn(async move { person.get(&page).await.status.as_u16() });
        }
        assert_eq!(clicks.join_all().await, [200; 8], "{page}");
    }
}

#[tokio::test]
async fn a_status_goes_forward_by_one_click_and_a_second_click_changes_nothing() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    let path = format!("{ORDERS}/{number}");
    let status = format!("{path}/status");
    let mut browser = Browser::of(&app, "Анна").await;
    let page = browser.get(&path).await;
    assert!(page.shows("Новый") && page.shows("Василий Тестовый") && page.shows("710"));
    let version = page.field("version");
    let form = [("status", "approved"), ("version", &*version)];
    let done = browser.post_and_follow(&status, &form).await;
    assert!(done.shows("Статус изменён.") && done.shows("Принят"));
    // The second click of two.
    assert_eq!(browser.post(&status, &form).await.status, 303);
    let versions: Vec<i32> = app.values("SELECT version FROM orders").await;
    assert_eq!(versions, [2]);
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', publication, login, kind, order_number, details) FROM operator_action")
        .await;
    assert_eq!(
        actions,
        [format!(
            r#"demodelivery Анна set_status {number} {{"status": ["new", "approved"]}}"#
        )]
    );
    let history: Vec<String> = app.values("SELECT login FROM journal_change").await;
    assert_eq!(history, ["Анна"]);
    assert!(done.shows("Статус: Новый → Принят"));

    let form = [
        ("status", "completed"),
        ("version", &*done.field("version")),
    ];
    let done = browser.post_and_follow(&status, &form).await;
    assert!(done.shows("Выполнен"));
    assert!(
        !done.text.contains(&format!("{path}/status\"")),
        "nothing follows"
    );
    // What goes back, what is no status, and an order that is not there.
    for (to, code) in [
        ("new", 409),
        ("approved", 409),
        ("removed", 409),
        ("lost", 409),
    ] {
        let form = [("status", to), ("version", "3")];
        assert_eq!(browser.post(&status, &form).await.status, code, "{to}");
    }
    let form = [("status", "approved"), ("version", "1")];
    let nowhere = format!("{ORDERS}/{}/status", number + 1);
    assert_eq!(browser.post(&nowhere, &form).await.status, 404);
    let left: Vec<String> = app.values("SELECT status FROM orders").await;
    assert_eq!(left, ["completed"]);
}

#[tokio::test]
async fn a_stale_page_is_told_so_and_changes_nothing() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    let path = format!("{ORDERS}/{number}");
    let mut browser = Browser::of(&app, "Анна").await;
    let version = browser.get(&path).await.field("version");
    app.accept(&changed(order("A-1"), "/total", 999)).await;
    let form = [("status", "removed"), ("version", &*version)];
    let seen = browser.post(&format!("{path}/status"), &form).await;
    assert_eq!(seen.status, 409);
    assert!(seen.shows("Пока страница была открыта, заказ изменился."));
    assert!(seen.shows("999"), "the page shows it as it is");
    let left: Vec<String> = app.values("SELECT status FROM orders").await;
    assert_eq!(left, ["new"]);
    assert_eq!(app.count("operator_action").await, 0);
}

#[tokio::test]
async fn an_order_of_another_publication_is_not_found_and_not_changed() {
    let app = TestApp::with(operators).await;
    let theirs = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL";
    app.post_to(theirs, &json!([order("A-1")]))
        .await
        .order("A-1");
    let number: i32 = app.value("SELECT number FROM orders").await;
    let mut anna = Browser::of(&app, "Анна").await;
    let other =
        format!("/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/orders/{number}");
    let form = [("status", "approved"), ("version", "1")];
    for base in [&other, &format!("{ORDERS}/{number}")] {
        assert_eq!(anna.get(base).await.status, 404, "{base}");
        assert_eq!(
            anna.post(&format!("{base}/status"), &form).await.status,
            404
        );
        let target = [("target", "1c")];
        assert_eq!(
            anna.post(&format!("{base}/resend"), &target).await.status,
            404
        );
    }
    assert!(
        anna.post_and_follow(ORDERS, &[("q", "A-1")])
            .await
            .shows("Таких заказов нет.")
    );
    assert_eq!(
        Browser::of(&app, "boss").await.get(&other).await.status,
        200
    );
    let left: Vec<String> = app.values("SELECT status FROM orders").await;
    assert_eq!(left, ["new"]);
}

#[tokio::test]
async fn what_senders_wrote_is_shown_as_text_in_every_view() {
    let app = TestApp::with(operators).await;
    let nasty =
        |what: &str| format!("{what}<script>alert(1)</script>\"'=HYPERLINK(\"x\")\u{202e}gpj.exe");
    let mut sent = order("<script>id</script>");
    for (pointer, what) in [
        ("/comment", "comment"),
        ("/payment_type", "payment"),
        ("/client/username", "name"),
        ("/client/comment", "about"),
        ("/shipping_address/city", "city"),
        ("/shipping_address/street", "street"),
        ("/shipping_address/str", "str"),
        ("/order_item_list/0/name", "item"),
        ("/order_item_list/0/product_id", "product"),
        ("/client/id", "client"),
    ] {
        sent = changed(sent, pointer, nasty(what));
    }
    let bad = changed(sent.clone(), "/total", "<b>much</b>");
    app.accept(&sent).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    app.post(&json!([bad])).await;
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, number, error, said_at)
         SELECT publication, number, version, '<i>1</i>', '<script>no</script>\u{202e}', now() FROM orders",
    )
    .await;
    let mut browser = Browser::of(&app, "boss").await;
    let order_page = format!("{ORDERS}/{number}");
    let form = [("status", "approved"), ("version", "1")];
    browser.post(&format!("{order_page}/status"), &form).await;
    let list = browser.get(ORDERS).await;
    let page = browser.get(&order_page).await;
    let found = browser.post(ORDERS, &[("q", "name<script>alert")]).await;
    let found = browser.get(found.location()).await;
    let actions = browser.get(ACTIONS).await;
    let unfound = browser
        .post_and_follow(ORDERS, &[("q", "\"><script>q</script>\u{202e}")])
        .await;
    for seen in [&list, &page, &found, &actions, &unfound] {
        assert_eq!(seen.status, 200);
        for harm in ["<script>", "<b>much", "<i>1", "\u{202e}"] {
            assert!(!seen.text.contains(harm), "{harm} in {}", seen.text);
        }
    }
    let shown = "<script>alert(1)</script>\"'=HYPERLINK(\"x\")[U+202E]gpj.exe";
    for what in [
        "comment", "payment", "name", "about", "city", "street", "str", "item", "product", "client",
    ] {
        assert!(page.shows(&format!("{what}{shown}")), "{what}");
    }
    assert!(page.shows("<script>no</script>[U+202E]"));
    // The rejected attempt, with its body as it came.
    assert!(page.shows("<b>much</b>"));
    assert!(list.shows(&format!("name{shown}")));
}

#[tokio::test]
async fn an_order_is_sent_to_a_target_again() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    app.accept(&order("A-1")).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    let path = format!("{ORDERS}/{number}");
    let mut browser = Browser::of(&app, "Анна").await;
    let page = browser.get(&path).await;
    assert!(page.shows("1c") && page.shows("Отправить ещё раз"));
    let form = [("target", &*page.field("target"))];
    let done = browser
        .post_and_follow(&format!("{path}/resend"), &form)
        .await;
    assert!(done.shows("Заказ будет отправлен ещё раз."));
    let rows: Vec<String> = app
        .values("SELECT concat_ws(' ', target, order_number) FROM target_delivery")
        .await;
    assert_eq!(rows, [format!("1c {number}")]);
    let acts: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, order_number, details) FROM operator_action")
        .await;
    assert_eq!(
        acts,
        [format!("Анна resend {number} {{\"target\": \"1c\"}}")]
    );
    assert!(done.shows("→ 1c"));
    assert_eq!(
        browser
            .post(&format!("{path}/resend"), &[("target", "other")])
            .await
            .status,
        404
    );
    let mut boss = Browser::of(&app, "boss").await;
    let actions = boss.get(ACTIONS).await;
    assert!(actions.shows("повторная отправка: → 1c") && actions.shows("Анна"));
}

#[tokio::test]
async fn the_history_tells_who_did_what() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    app.accept(&changed(order("A-1"), "/total", "720.50")).await;
    app.post(&json!([changed(order("A-1"), "/total", -1)]))
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let path = format!("{ORDERS}/{number}");
    let form = [("status", "approved"), ("version", "2")];
    let page = browser
        .post_and_follow(&format!("{path}/status"), &form)
        .await;
    let (_, history) = page.text.split_once("class=\"history\"").unwrap();
    let mut from = 0;
    // The newest first.
    for part in [
        "Анна",
        "Статус: Новый → Принят",
        "Отклонён",
        "Сумма: вне",
        "Изменён",
        "сайт",
        "Сумма: 710\u{a0}₽ → 720,50\u{a0}₽",
        "Получен",
    ] {
        let at = history[from..].find(part);
        from += at.unwrap_or_else(|| panic!("no {part} in {history}"));
    }
}

#[tokio::test]
async fn beyond_loopback_the_console_is_seen_over_tls_alone() {
    let open = |config: &mut Config| {
        operators(config);
        config.operator.listen = Some("0.0.0.0:9888".parse().unwrap());
    };
    // It would be reached in plain text.
    let bare = TestApp::with(open).await;
    let mut browser = Browser::at(bare.operators_address);
    let seen = browser.get("/console/login").await;
    assert_eq!(seen.status, 403);
    assert!(seen.shows("только через HTTPS"));
    assert_eq!(browser.log_in("Анна", PASSWORD).await.status, 403);
    assert_eq!(bare.count("operator_session").await, 0);
    // What is not the console is there as ever.
    assert_eq!(bare.operator("/healthz").await.0, 200);

    let proxied = TestApp::with(|config| {
        open(config);
        config.operator.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let mut browser = Browser::at(proxied.operators_address);
    let form = [("login", "Анна"), ("password", PASSWORD)];
    let request = browser
        .form("/console/login", &form)
        .header("Sec-Fetch-Site", "same-origin")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-Proto", "https");
    let seen = browser.see(request).await;
    assert_eq!(seen.status, 303);
    let cookie = seen.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-aqua-console="), "{cookie}");
    for part in ["; Path=/;", "; Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(browser.get(ORDERS).await.status, 200);
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_that_a_browser_speaks_tls() {
    let app = TestApp::with(operators).await;
    let mut browser = Browser::at(app.operators_address);
    let form = [("login", "Анна"), ("password", PASSWORD)];
    let request = browser
        .form("/console/login", &form)
        .header("Sec-Fetch-Site", "same-origin")
        .header("X-Forwarded-Proto", "https");
    let seen = browser.see(request).await;
    let cookie = seen.headers["set-cookie"].to_str().unwrap();
    assert!(!cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn a_database_that_is_away_is_said_and_nothing_is_done() {
    let server = Server::start(&DURABLE).await;
    let database = Arc::new(server.database().await);
    let app = TestApp::beside(database, operators).await;
    let mut browser = Browser::of(&app, "Анна").await;
    drop(server);
    for path in ["/console", ORDERS] {
        let seen = browser.get(path).await;
        assert_eq!(seen.status, 503, "{path}");
        assert!(seen.shows("База данных не ответила"));
        assert_eq!(seen.headers["retry-after"], "5");
    }
    assert_eq!(browser.log_in("Анна", PASSWORD).await.status, 503);
}

#[tokio::test]
async fn what_operators_did_is_kept_as_long_as_changes_and_sessions_until_they_are_over() {
    let app = TestApp::with(operators).await;
    Browser::of(&app, "Анна").await;
    Browser::of(&app, "boss").await;
    app.run(
        "UPDATE operator_session SET created_at = now() - interval '13 hours' WHERE login = 'boss';
         INSERT INTO operator_action (publication, action, made_at, login, kind)
         SELECT 'demodelivery', ('0190b5a0-7f3a-7000-8000-00000000000' || n)::uuid, now() - n * interval '100 days', 'Анна', 'resend'
         FROM generate_series(0, 5) n",
    )
    .await;
    let config = demo_config();
    let store = Store::new(app.database.options(), &app.database.settings());
    retention::round(&store, "demodelivery", &config.journal)
        .await
        .unwrap();
    // 0, 100, 200 and 300 days old.
    assert_eq!(app.count("operator_action").await, 4);
    assert_eq!(store.remove_sessions().await.unwrap(), 1);
    let left: Vec<String> = app.values("SELECT login FROM operator_session").await;
    assert_eq!(left, ["Анна"]);
    store.close().await;
}
