//! Who did what in the console: by person, by day, and where it leads.

use crate::support::{
    app::TestApp,
    console::{Browser, Seen, operators},
};

const ACTIONS: &str = "/console/p/demodelivery/actions";

/// Actions of the last days: `login` did `count` of them, an hour apart, the last one so many days ago.
async fn acted(app: &TestApp, login: &str, count: i64, days: i64) {
    app.run(format!(
        "INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
         SELECT 'demodelivery', (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                || '7' || substr(md5('{login}' || n), 1, 3) || '8' || substr(md5('{login}' || n), 4, 15))::uuid,
                at, '{login}', 'set_status', n, '{{\"status\": [\"new\", \"approved\"]}}'
         FROM (SELECT n, now() - interval '{days} days' - n * interval '1 hour' AS at FROM generate_series(1, {count}) n) t"
    ))
    .await;
}

/// The numbers of the orders that are listed.
fn orders(page: &Seen) -> Vec<String> {
    let rows = page.text.split("/orders/").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned())
        .collect()
}

fn day(days: i64) -> String {
    let zone = aqua_orders::config::zone("Europe/Moscow").unwrap();
    let at = zone.local(chrono::Utc::now() - chrono::TimeDelta::days(days));
    at.format("%Y-%m-%d").to_string()
}

#[tokio::test]
async fn the_journal_is_filtered_by_person_and_counts_what_each_did() {
    let app = TestApp::with(operators).await;
    acted(&app, "Анна", 60, 0).await;
    acted(&app, "Пётр", 2, 10).await;
    let mut boss = Browser::of(&app, "boss").await;
    let all = boss.get(ACTIONS).await;
    assert_eq!(orders(&all).len(), 50);
    for (login, count) in [("Анна", 60), ("Пётр", 2)] {
        let tab = format!("{login} <span class=\"count\">{count}</span>");
        assert!(all.text.contains(&tab), "{}", all.text);
    }
    // Those of one person are found behind those of another.
    let his = boss
        .get(&format!("{ACTIONS}?login=%D0%9F%D1%91%D1%82%D1%80"))
        .await;
    assert_eq!(orders(&his), ["1", "2"]);
    let hers = boss
        .get(&format!("{ACTIONS}?login=%D0%90%D0%BD%D0%BD%D0%B0"))
        .await;
    assert_eq!(orders(&hers).len(), 50);
    let (_, older) = hers.text.rsplit_once("&#38;before=").unwrap();
    let older = older.split('"').next().unwrap();
    let path = format!("{ACTIONS}?login=%D0%90%D0%BD%D0%BD%D0%B0&before={older}");
    let rest = boss.get(&path).await;
    assert_eq!(orders(&rest).len(), 10, "{}", rest.text);
    let nobody = boss.get(&format!("{ACTIONS}?login=nobody")).await;
    assert!(nobody.shows("Таких действий нет."));
}

#[tokio::test]
async fn the_journal_is_filtered_by_day_and_says_what_is_no_date() {
    let app = TestApp::with(operators).await;
    acted(&app, "Анна", 1, 0).await;
    acted(&app, "Анна", 1, 3).await;
    acted(&app, "Пётр", 1, 6).await;
    let mut boss = Browser::of(&app, "boss").await;
    // The action is an hour older than that.
    let (from, to) = (day(4), day(2));
    let seen = boss.get(&format!("{ACTIONS}?from={from}&to={to}")).await;
    assert_eq!(orders(&seen).len(), 1, "{}", seen.text);
    assert!(seen.text.contains("Анна <span class=\"count\">1</span>"));
    assert!(!seen.shows("Пётр"));
    for wrong in ["31.02.2026", "2026-02-31", "<b>"] {
        let seen = boss.get(&format!("{ACTIONS}?from={wrong}")).await;
        assert_eq!(seen.status, 400, "{wrong}");
        assert!(
            seen.shows(&format!("Такой даты нет: {wrong}.")),
            "{}",
            seen.text
        );
        assert!(orders(&seen).is_empty());
    }
}

#[tokio::test]
async fn what_was_done_names_the_product_and_leads_to_it() {
    let app = TestApp::with(operators).await;
    app.run(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 60, 'Стаканы 200 мл');
         INSERT INTO operator_action (publication, action, login, kind, details) VALUES
             ('demodelivery', gen_random_uuid(), 'Анна', 'fill', '{\"product_id\": \"cups 1\", \"product\": 60, \"lines\": 3}')",
    )
    .await;
    let seen = Browser::of(&app, "boss").await.get(ACTIONS).await;
    let link = "строки заполнены: <a href=\"/console/p/demodelivery/unmatched/product?id=cups%201\">\
                cups 1 → 60 Стаканы 200 мл, строк: 3</a>";
    assert!(seen.text.contains(link), "{}", seen.text);
}

#[tokio::test]
async fn whoever_is_told_no_has_the_menu_to_go_on() {
    let app = TestApp::with(operators).await;
    let mut anna = Browser::of(&app, "Анна").await;
    for (path, status) in [(ACTIONS, 403), ("/console/p/demodelivery/orders/1", 404)] {
        let seen = anna.get(path).await;
        assert_eq!(seen.status, status);
        assert!(seen.text.contains("action=\"/console/logout\""), "{path}");
        assert!(
            seen.text
                .contains("href=\"/console/p/demodelivery/orders\""),
            "{path}"
        );
        assert!(!seen.text.contains("demodelivery/clients\""), "{path}");
    }
    // Of another publication nothing is told.
    let other = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/orders";
    let seen = anna.get(other).await;
    assert_eq!(seen.status, 404);
    assert!(!seen.shows("доставка"));
}

#[tokio::test]
async fn the_journal_is_exported_as_it_is_filtered_and_that_is_noted() {
    let app = TestApp::with(operators).await;
    acted(&app, "Анна", 3, 0).await;
    acted(&app, "=Пётр()", 1_200, 10).await;
    app.run(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 60, 'Стаканы');
         INSERT INTO operator_action (publication, action, login, kind, details) VALUES
             ('demodelivery', gen_random_uuid(), '=Пётр()', 'fill', '{\"product_id\": \"=cups\", \"product\": 60, \"lines\": 3}')",
    )
    .await;
    let mut boss = Browser::of(&app, "boss").await;
    let export = format!("{ACTIONS}/export");
    let page = boss.get(ACTIONS).await;
    assert!(page.text.contains(&export), "{}", page.text);
    let file = boss.post(&export, &[("format", "csv")]).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<&str> = file.text.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines.len(), 1 + 3 + 1_200 + 1);
    assert_eq!(lines[0], "Когда;Кто;Что;Подробности;Заказ");
    assert!(
        lines[1..].iter().any(|line| line.ends_with(";'=Пётр();строки заполнены;'=cups → 60 Стаканы, строк: 3;")),
        "{}",
        lines[1]
    );
    let hers = lines.iter().find(|line| line.contains(";Анна;")).unwrap();
    assert!(
        hers.ends_with(";Анна;смена статуса;Новый → Принят;1"),
        "{hers}"
    );
    // With its seconds.
    assert_eq!(
        hers.split(';').next().unwrap().len(),
        "26.11.2026 14:05:59".len()
    );

    let day = day(0);
    let form = [("format", "csv"), ("login", "Анна"), ("from", &*day)];
    let request = boss
        .form(&export, &form)
        .header("Sec-Fetch-Site", "same-origin");
    let hers = boss.see(request).await;
    assert!(
        hers.headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("\"actions-20")
    );
    assert!(!hers.text.contains("Пётр"), "{}", hers.text);
    let form = [("format", "xlsx"), ("login", "nobody")];
    let file = boss
        .form(&export, &form)
        .header("Sec-Fetch-Site", "same-origin");
    let file = file.send().await.unwrap();
    assert_eq!(file.status(), 200);
    assert!(file.bytes().await.unwrap().starts_with(b"PK"));
    let noted: Vec<String> = app
        .values("SELECT concat_ws(' ', login, details) FROM operator_action WHERE kind = 'export_actions' ORDER BY action")
        .await;
    assert_eq!(
        noted,
        [
            r#"boss {"filter": {}, "format": "csv"}"#.to_owned(),
            format!(r#"boss {{"filter": {{"from": "{day}", "login": "Анна"}}, "format": "csv"}}"#),
            r#"boss {"filter": {"login": "nobody"}, "format": "xlsx"}"#.to_owned(),
        ]
    );
    let page = boss.get(&format!("{ACTIONS}?login=boss")).await;
    assert!(
        page.shows("выгрузка журнала действий: CSV: Анна, С "),
        "{}",
        page.text
    );

    // What is no day is told on the page, and nothing leaves. A dispatcher gets nothing at all.
    let wrong = boss
        .post(&export, &[("format", "csv"), ("from", "31.02.2026")])
        .await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.shows("Такой даты нет: 31.02.2026."));
    assert_eq!(boss.post(&export, &[("format", "pdf")]).await.status, 404);
    let mut anna = Browser::of(&app, "Анна").await;
    assert_eq!(anna.post(&export, &[("format", "csv")]).await.status, 403);
    let request = boss.form(&export, &[("format", "csv")]);
    assert_eq!(boss.see(request).await.status, 403);
    let noted = "SELECT count(*) FROM operator_action WHERE kind = 'export_actions'";
    assert_eq!(app.value::<i64>(noted).await, 3);
}
