//! The console's lists of rejected orders and of those with remarks (contract §9): corrected, checked, sent again, settled.

use aqua_orders::{retention, store::Store};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    config::demo_config,
    console::{Browser, Seen, operators},
};

const BASE: &str = "/console/p/demodelivery";
pub const REJECTED: &str = "/console/p/demodelivery/rejected";
const REMARKS: &str = "/console/p/demodelivery/remarks";

/// An order that is rejected for its sum.
fn bad(id: &str) -> Value {
    changed(order(id), "/total", -1)
}

/// One that is accepted without its points.
fn remarked(id: &str) -> Value {
    changed(order(id), "/coins", "many")
}

/// The pages that the list leads to, in its order.
pub fn listed(list: &Seen) -> Vec<String> {
    let links = list.text.split("<th scope=\"row\"><a href=\"").skip(1);
    links
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

/// The ids that the list has, in its order.
fn ids(list: &Seen) -> Vec<String> {
    let links = list.text.split("<th scope=\"row\"><a href=\"").skip(1);
    let ids = links.map(|rest| rest.split('>').nth(1).unwrap().split('<').next().unwrap());
    ids.map(str::to_owned).collect()
}

/// The number beside a list, in the navigation.
fn number_beside(seen: &Seen, list: &str) -> Option<String> {
    let (_, link) = seen.text.split_once(&format!("<li><a href=\"{list}\""))?;
    let link = link.split("</a>").next().unwrap();
    let (_, count) = link.split_once("class=\"count\">")?;
    Some(count.split('<').next().unwrap().to_owned())
}

/// What the field holds, as a browser sends it.
pub fn text_of(page: &Seen) -> String {
    let (_, text) = page.text.split_once("<textarea").unwrap();
    let (_, text) = text.split_once(">\n").unwrap();
    let text = text.split("</textarea>").next().unwrap();
    unescaped(text).replace('\n', "\r\n")
}

pub fn unescaped(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

/// The text with another sum.
fn with_total(text: &str, total: &str) -> String {
    assert!(text.contains("\"total\": -1"), "{text}");
    text.replace("\"total\": -1", &format!("\"total\": {total}"))
}

async fn send(browser: &mut Browser, page: &str, text: &str, action: &str) -> Seen {
    let form = [("order", text), ("action", action)];
    browser.post(&format!("{page}/send"), &form).await
}

#[tokio::test]
async fn a_rejected_order_is_corrected_checked_and_sent_in_an_operators_name() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1"), order("B-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REJECTED).await;
    assert_eq!(ids(&list), ["A-1"]);
    assert!(list.shows("Сумма: вне"), "{}", list.text);
    assert_eq!(number_beside(&list, REJECTED).as_deref(), Some("1"));
    let page = listed(&list).remove(0);
    let seen = browser.get(&page).await;
    assert!(seen.shows("Сумма: вне") && seen.shows("сайт"));
    let text = text_of(&seen);

    // As it is it would be rejected, and nothing is stored for asking.
    let seen = send(&mut browser, &page, &text, "check").await;
    assert_eq!(seen.status, 200);
    assert!(seen.shows("Будет отклонён"));
    let corrected = with_total(&text, "720.50");
    let seen = send(&mut browser, &page, &corrected, "check").await;
    assert!(seen.shows("Будет принят") && seen.shows("товар не найден"));
    assert!(text_of(&seen).contains("720.50"), "what he wrote stays");
    assert_eq!(app.count("orders").await, 1);
    assert_eq!(app.count("journal_rejected").await, 1);

    let sent = send(&mut browser, &page, &corrected, "send").await;
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    assert_eq!(
        sent.location(),
        format!("{BASE}/orders/{number}?done=accepted")
    );
    let seen = browser.get(sent.location()).await;
    assert!(seen.shows("Заказ сохранён.") && seen.shows("720,50"));
    assert_eq!(number_beside(&seen, REJECTED), None);
    assert!(ids(&browser.get(REJECTED).await).is_empty());
    let settled: Vec<String> = app
        .values("SELECT settled_by FROM journal_rejected WHERE settled_at IS NOT NULL")
        .await;
    assert_eq!(settled, ["Анна"]);
    let sent_by = "SELECT count(*) FROM journal_batch
                   WHERE login = 'Анна' AND request_id LIKE 'console-%' AND accepted = 1 AND NOT dry_run";
    assert_eq!(app.value::<i64>(sent_by).await, 1);
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, order_number) FROM operator_action")
        .await;
    assert_eq!(actions, [format!("Анна resubmit {number}")]);

    // The second click of two sends nothing.
    let batches = app.count("journal_batch").await;
    let again = send(&mut browser, &page, &corrected, "send").await;
    let order = format!("{BASE}/orders/{number}");
    assert_eq!((again.status.as_u16(), again.location()), (303, &*order));
    let seen = browser.get(&page).await;
    assert!(seen.shows("Разобран") && seen.shows("Анна"));
    assert!(!seen.text.contains("<textarea"));
    assert_eq!(app.count("journal_batch").await, batches);
    let mut boss = Browser::of(&app, "boss").await;
    let actions = boss.get(&format!("{BASE}/actions")).await;
    assert!(actions.shows("заказ исправлен и отправлен: A-1"));
}

#[tokio::test]
async fn one_that_is_rejected_again_is_listed_once_with_what_was_written() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let text = text_of(&browser.get(&page).await);
    let wrong = with_total(&text, "710").replace("\"new\"", "\"lost\"");
    let sent = send(&mut browser, &page, &wrong, "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    assert!(sent.location().ends_with("?done=rejected"));
    assert!(!sent.location().starts_with(&page));
    let seen = browser.get(sent.location()).await;
    assert!(seen.shows("Заказ снова отклонён.") && seen.shows("Статус: "));
    assert!(text_of(&seen).contains("\"lost\"") && seen.shows("Анна"));
    // Of both attempts the last one is listed.
    let list = browser.get(REJECTED).await;
    assert_eq!(ids(&list), ["A-1"]);
    assert_eq!(number_beside(&list, REJECTED).as_deref(), Some("1"));
    let page = listed(&list).remove(0);
    assert!(sent.location().starts_with(&page));
    let sent = send(&mut browser, &page, &wrong.replace("lost", "new"), "send").await;
    assert!(sent.location().contains("/orders/"), "{}", sent.text);
    // Both are settled with it.
    let open = "SELECT count(*) FROM journal_rejected WHERE settled_at IS NULL";
    assert_eq!(app.value::<i64>(open).await, 0);
}

#[tokio::test]
async fn a_text_that_is_no_order_is_told_so_and_not_lost() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let batches = app.count("journal_batch").await;
    for (text, says) in [
        ("", "Текст пуст"),
        (" \r\n", "Текст пуст"),
        ("{\r\n\"id\": }", "ошибка в строке 2"),
        ("[{}]", "Это список."),
        ("{}, {}", "Это не JSON"),
        ("{\"<script>\u{202e}", "Это не JSON"),
    ] {
        let seen = send(&mut browser, &page, text, "send").await;
        assert_eq!(seen.status, 422, "{text}");
        assert!(seen.shows(says), "{text}: {}", seen.text);
        assert_eq!(
            text_of(&seen).trim(),
            text.trim().replace('\u{202e}', "\\u202e")
        );
    }
    let long = format!("{{\"id\":\"{}\"}}", "я".repeat(150_000));
    let seen = send(&mut browser, &page, &long, "send").await;
    assert_eq!(seen.status, 413);
    assert_eq!(app.count("journal_batch").await, batches);
    assert_eq!(ids(&browser.get(REJECTED).await), ["A-1"]);
}

#[tokio::test]
async fn the_lists_are_grouped_by_code_and_field_and_go_on_page_by_page() {
    let app = TestApp::with(operators).await;
    let mut batch: Vec<Value> = (0..120).map(|n| bad(&format!("sum-{n:03}"))).collect();
    for n in 0..60 {
        let sent = changed(
            order(&format!("line-{n:02}")),
            "/order_item_list/0/price",
            "(absent)",
        );
        batch.push(sent);
    }
    batch.push(changed(bad("both"), "/status", "lost"));
    app.post(&json!(batch)).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REJECTED).await;
    assert_eq!(number_beside(&list, REJECTED).as_deref(), Some("99+"));
    for (group, count) in [
        ("?code=out_of_range&field=total", 121),
        ("?code=required&field=order%5Fitem%5Flist%5B%5D%2Eprice", 60),
        ("?code=not_allowed&field=status", 1),
    ] {
        let group = group
            .replace("not_", "not%5F")
            .replace("out_of_", "out%5Fof%5F")
            .replace('&', "&#38;");
        let link = format!("{REJECTED}{group}\"");
        let (_, link) = list
            .text
            .split_once(&link)
            .unwrap_or_else(|| panic!("{group}: {}", list.text));
        let link = link.split("</a>").next().unwrap();
        assert!(
            link.contains(&format!("class=\"count\">{count}<")),
            "{link}"
        );
    }
    for (query, due) in [
        ("", 181),
        ("?code=out_of_range&field=total", 121),
        ("?code=required", 60),
        ("?code=required&field=total", 0),
        ("?code=not_allowed&field=status", 1),
        ("?code=nonsense", 0),
    ] {
        let mut path = format!("{REJECTED}{query}");
        let mut all = Vec::new();
        loop {
            let seen = browser.get(&path).await;
            assert_eq!(seen.status, 200);
            let found = ids(&seen);
            assert!(found.len() <= 50);
            all.extend(found);
            let (_, pages) = seen.text.rsplit_once("class=\"pages\"").unwrap();
            let Some((_, href)) = pages
                .rsplit_once("href=\"")
                .filter(|_| pages.contains("after="))
            else {
                break;
            };
            let href = href.split('"').next().unwrap();
            path = href.replace("&#38;", "&");
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!((count, all.len()), (due, due), "{query}");
    }
}

#[tokio::test]
async fn an_order_that_its_sender_corrected_leaves_the_list_by_itself() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("new"), bad("left")])).await;
    app.accept(&order("known")).await;
    app.post(&json!([bad("known")])).await;
    app.post(&json!([bad("left")])).await;
    app.post(&json!([bad("known"), { "status": "new" }, { "status": "new" }]))
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let mut open = ids(&browser.get(REJECTED).await);
    open.sort();
    // What has no id has nothing in common.
    assert_eq!(open, ["known", "left", "new", "без id (2-й в запросе)"]);
    app.accept(&order("new")).await;
    app.accept(&changed(order("known"), "/total", 999)).await;
    let list = browser.get(REJECTED).await;
    let mut open = ids(&list);
    open.sort();
    assert_eq!(open, ["left", "без id (2-й в запросе)"]);
    assert_eq!(number_beside(&list, REJECTED).as_deref(), Some("2"));
    // Somebody who sets a status corrects nothing.
    app.post(&json!([bad("known")])).await;
    app.run("UPDATE orders SET version = version + 1 WHERE sender_id = 'known'")
        .await;
    assert_eq!(ids(&browser.get(REJECTED).await)[0], "known");

    // Every hour what no list shows any more is settled, and nothing else.
    let store = Store::new(app.database.options(), &app.database.settings());
    retention::round(&store, "demodelivery", &demo_config().journal)
        .await
        .unwrap();
    store.close().await;
    let mut open: Vec<String> = app
        .values("SELECT order_key FROM journal_rejected WHERE settled_at IS NULL")
        .await;
    open.sort();
    assert_eq!(open, ["#1", "known", "left"]);
    let nobody: Vec<String> = app
        .values("SELECT order_key FROM journal_rejected WHERE settled_by IS NOT NULL")
        .await;
    assert_eq!(nobody, [""; 0]);
}

#[tokio::test]
async fn an_order_with_remarks_is_settled_by_one_click() {
    let app = TestApp::with(operators).await;
    app.post(&json!([remarked("A-1"), remarked("B-1"), order("C-1")]))
        .await;
    app.post(&json!([changed(remarked("A-1"), "/total", 720)]))
        .await;
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REMARKS).await;
    assert_eq!(ids(&list), ["A-1", "B-1"]);
    assert_eq!(number_beside(&list, REMARKS).as_deref(), Some("2"));
    assert!(list.shows("Баллы: ") && list.text.contains(&format!("{BASE}/orders/{number}")));
    let page = listed(&list).remove(0);
    let settle = format!("{page}/settle");
    let form = [("list", "1"), ("code", "wrong_type"), ("field", "coins")];
    let done = browser.post_and_follow(&settle, &form).await;
    assert!(done.shows("Отмечено разобранным."));
    assert_eq!(number_beside(&done, REMARKS).as_deref(), Some("1"));
    // The second click of two.
    assert_eq!(browser.post(&settle, &form).await.status, 303);
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, order_number) FROM operator_action")
        .await;
    assert_eq!(actions, [format!("Анна settle {number}")]);
    assert_eq!(ids(&browser.get(REMARKS).await), ["B-1"]);
    let seen = browser.get(&page).await;
    assert!(seen.shows("Разобран") && seen.shows("Анна"));
    // It changed nothing of the order. The orders' list has as many remarks as this one has open; the history keeps it.
    let total: Vec<String> = app
        .values("SELECT total::text FROM orders WHERE sender_id = 'A-1'")
        .await;
    assert_eq!(total, ["720.00"]);
    let listed = browser.get(&format!("{BASE}/orders?remarks=1")).await;
    assert!(!listed.shows("A-1"), "{}", listed.text);
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    let order = browser.get(&format!("{BASE}/orders/{number}")).await;
    assert!(order.shows("Принят с замечаниями"));
}

#[tokio::test]
async fn what_another_settled_or_changed_meanwhile_is_not_written_over() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1"), remarked("B-1")])).await;
    let mut anna = Browser::of(&app, "Анна").await;
    let mut boss = Browser::of(&app, "boss").await;
    let page = listed(&anna.get(REJECTED).await).remove(0);
    let text = text_of(&anna.get(&page).await);
    let done = boss.post_and_follow(&format!("{page}/settle"), &[]).await;
    assert!(done.shows("Отмечено разобранным.") && done.shows("boss"));
    let corrected = with_total(&text, "710");
    let seen = send(&mut anna, &page, &corrected, "send").await;
    assert_eq!(seen.status, 409);
    assert!(seen.shows("Уже разобрано: boss, ") && seen.shows("\"total\": 710"));
    assert_eq!(app.count("orders").await, 1);

    // The order changes while somebody reads its remark.
    let page = listed(&anna.get(REMARKS).await).remove(0);
    let text = text_of(&anna.get(&page).await);
    let corrected = text.replace("\"many\"", "5");
    app.accept(&changed(order("B-1"), "/total", 999)).await;
    let seen = send(&mut anna, &page, &corrected, "send").await;
    assert_eq!(seen.status, 409);
    assert!(seen.shows("под текстом сказано, что он перезаписал бы"));
    assert_eq!(text_of(&seen), corrected);
    let total: Vec<String> = app.values("SELECT total::text FROM orders").await;
    assert_eq!(total, ["999.00"]);
    // He may say that it is to be written over; but not over what comes after that.
    let over = seen.field("over");
    app.accept(&changed(order("B-1"), "/total", 1000)).await;
    let form = [("order", &*corrected), ("over", &*over)];
    let seen = anna.post(&format!("{page}/send"), &form).await;
    assert_eq!(seen.status, 409);
    let over = seen.field("over");
    let form = [("order", &*corrected), ("over", &*over)];
    let sent = anna.post(&format!("{page}/send"), &form).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let stored: Vec<String> = app
        .values("SELECT concat_ws(' ', total, coins) FROM orders")
        .await;
    assert_eq!(stored, ["710.00 5.00"]);
    assert!(ids(&anna.get(REMARKS).await).is_empty());
}

#[tokio::test]
async fn all_that_match_are_sent_again_once_their_cause_is_removed() {
    let app = TestApp::with(|config| {
        operators(config);
        config.publications[0].rules.max_order_items = 1;
    })
    .await;
    let line = json!({ "product_id": "water-19", "price": 1, "quantity": 1 });
    let long = |id: &str| {
        let lines = json!([line.clone(), line.clone()]);
        changed(order(id), "/order_item_list", lines)
    };
    let batch: Vec<Value> = (0..25).map(|n| long(&format!("long-{n:02}"))).collect();
    app.post(&json!(batch)).await;
    app.post(&json!([bad("other"), long("changed")])).await;
    let corrected = TestApp::beside(app.database.clone(), operators).await;
    let mut browser = Browser::of(&app, "Анна")
        .await
        .moved_to(corrected.operators_address);
    let form = [("code", "too_many"), ("field", "order_item_list")];
    let action = format!("{REJECTED}/send");
    let mut seen = browser.post_and_follow(&action, &form).await;
    // On a slow machine it takes several clicks.
    while seen.text.contains("data-goes-on") {
        let (after, sent, accepted) = (
            seen.field("after"),
            seen.field("sent"),
            seen.field("accepted"),
        );
        let more = [
            form[0],
            form[1],
            ("after", &*after),
            ("sent", &*sent),
            ("accepted", &*accepted),
        ];
        seen = browser.post_and_follow(&action, &more).await;
    }
    assert!(
        seen.shows("Отправлено заказов: 26, из них принято: 26."),
        "{}",
        seen.text
    );
    assert_eq!(app.count("orders").await, 26);
    let list = browser.get(REJECTED).await;
    assert_eq!(ids(&list), ["other"]);
    let settled = "SELECT count(*) FROM journal_rejected WHERE settled_by = 'Анна'";
    assert_eq!(app.value::<i64>(settled).await, 26);
    let actions = "SELECT count(*) FROM operator_action WHERE kind = 'resubmit'";
    assert_eq!(app.value::<i64>(actions).await, 26);
    // Whatever is still wrong stays, once.
    let seen = browser
        .post_and_follow(&format!("{REJECTED}/send"), &[])
        .await;
    assert!(seen.shows("Отправлено заказов: 1, из них принято: 0."));
    assert_eq!(ids(&browser.get(REJECTED).await), ["other"]);
    // That he sent it in vain is known, too.
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, details->>'order') FROM operator_action WHERE kind = 'resubmit_in_vain'")
        .await;
    assert_eq!(actions, ["Анна other"]);
}

#[tokio::test]
async fn sending_an_order_that_is_rejected_again_is_in_the_journal_of_operators() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1"), 7])).await;
    let mut boss = Browser::of(&app, "boss").await;
    for page in listed(&boss.get(REJECTED).await) {
        let text = text_of(&boss.get(&page).await);
        let seen = send(&mut boss, &page, &text, "check").await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        let seen = send(&mut boss, &page, &text, "send").await;
        assert!(seen.location().ends_with("?done=rejected"), "{}", seen.text);
    }
    let actions = boss.get(&format!("{BASE}/actions")).await;
    let told = actions
        .text
        .matches("заказ отправлен и снова отклонён")
        .count();
    assert_eq!(told, 2, "{}", actions.text);
    assert!(actions.shows("A-1"));
    assert_eq!(
        app.count("operator_action").await,
        2,
        "a check is no action"
    );
}

#[tokio::test]
async fn kept_orders_are_seen_and_changed_by_their_publications_operators_alone() {
    let app = TestApp::with(operators).await;
    let theirs = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL";
    app.post_to(theirs, &json!([bad("A-1")])).await;
    let their_base = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0";
    let mut boss = Browser::of(&app, "boss").await;
    let page = listed(&boss.get(&format!("{their_base}/rejected")).await).remove(0);
    let (_, row) = page.split_once("/kept/").unwrap();
    let mut anna = Browser::of(&app, "Анна").await;
    assert!(ids(&anna.get(REJECTED).await).is_empty());
    let form = [("order", "{}")];
    for base in [their_base, BASE] {
        let page = format!("{base}/kept/{row}");
        assert_eq!(anna.get(&page).await.status, 404, "{page}");
        for action in ["send", "settle"] {
            let seen = anna.post(&format!("{page}/{action}"), &form).await;
            assert_eq!(seen.status, 404, "{page}/{action}");
        }
    }
    for list in ["rejected", "remarks"] {
        assert_eq!(anna.get(&format!("{their_base}/{list}")).await.status, 404);
        let all = anna.post(&format!("{their_base}/{list}/send"), &[]).await;
        assert_eq!(all.status, 404);
    }
    for path in ["send", "settle"].map(|action| format!("{page}/{action}")) {
        let request = boss
            .form(&path, &form)
            .header("Origin", "https://evil.example");
        assert_eq!(boss.see(request).await.status, 403, "{path}");
    }
    let request = boss.form(&format!("{their_base}/rejected/send"), &[]);
    assert_eq!(boss.see(request).await.status, 403);
    let open = "SELECT count(*) FROM journal_rejected WHERE settled_at IS NULL";
    assert_eq!(app.value::<i64>(open).await, 1);
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn what_kept_orders_hold_is_shown_as_text_and_comes_back_as_it_was() {
    let app = TestApp::with(operators).await;
    let nasty = "</textarea><script>alert(1)</script>\"'\u{202e}gpj.exe\n=1+1";
    let mut sent = changed(bad("<script>id\u{202e}</script>"), "/comment", nasty);
    sent = changed(sent, "/client/username", nasty);
    sent = changed(sent, "/order_item_list/0/name", nasty);
    app.post(&json!([sent])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REJECTED).await;
    let page = listed(&list).remove(0);
    let seen = browser.get(&page).await;
    for seen in [&list, &seen] {
        for harm in ["<script>alert", "<script>id", "\u{202e}"] {
            assert!(!seen.text.contains(harm), "{harm} in {}", seen.text);
        }
    }
    assert!(list.shows("<script>id[U+202E]</script>"));
    let text = with_total(&text_of(&seen), "710");
    let checked = send(&mut browser, &page, &text, "check").await;
    assert_eq!(text_of(&checked), text);
    let done = send(&mut browser, &page, &text, "send").await;
    assert_eq!(done.status, 303, "{}", done.text);
    let stored: Vec<String> = app.values("SELECT comment FROM orders").await;
    assert_eq!(stored, [nasty]);
    let ids: Vec<String> = app.values("SELECT sender_id FROM orders").await;
    assert_eq!(ids, ["<script>id\u{202e}</script>"]);
}

#[tokio::test]
async fn an_older_rejected_update_may_be_left_alone() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REJECTED).await;
    assert_eq!(ids(&list), ["A-1"]);
    let page = listed(&list).remove(0);
    let text = with_total(&text_of(&browser.get(&page).await), "800");
    let checked = send(&mut browser, &page, &text, "check").await;
    let number: i32 = app.value("SELECT number FROM orders").await;
    assert!(checked.shows(&format!("Изменит заказ {number}")));
    let elsewhere = text.replace("\"id\": \"A-1\"", "\"id\": \"A-2\"");
    let checked = send(&mut browser, &page, &elsewhere, "check").await;
    assert!(checked.shows("Будет принят"), "{}", checked.text);
    let sent = send(&mut browser, &page, &text, "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let seen = browser.get(sent.location()).await;
    assert!(seen.shows("Сумма: 710\u{a0}₽ → 800\u{a0}₽") && seen.shows("Анна"));
}

#[tokio::test]
async fn a_text_with_another_orders_id_does_not_write_over_it_unasked() {
    let app = TestApp::with(operators).await;
    app.accept(&order("B-1")).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let text = text_of(&browser.get(&page).await);
    let corrected = with_total(&text, "5").replace("\"id\": \"A-1\"", "\"id\": \"B-1\"");
    let number: i32 = app.value("SELECT number FROM orders").await;
    let seen = send(&mut browser, &page, &corrected, "check").await;
    assert!(
        seen.shows(&format!("Изменит заказ {number}")),
        "{}",
        seen.text
    );
    assert!(!seen.shows("Будет принят"));
    let seen = send(&mut browser, &page, &corrected, "send").await;
    assert_eq!(seen.status, 409);
    assert!(
        seen.shows(&format!("уже есть заказ {number}: изменить его.")),
        "{}",
        seen.text
    );
    assert_eq!(text_of(&seen), corrected);
    let total = "SELECT total::text FROM orders";
    assert_eq!(app.value::<String>(total).await, "710.00");
    // Whoever means it says so, of that order as it is.
    let over = seen.field("over");
    let form = [("order", &*corrected), ("over", &*over)];
    let sent = browser.post(&format!("{page}/send"), &form).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    assert_eq!(app.value::<String>(total).await, "5.00");
}

#[tokio::test]
async fn what_was_settled_is_told_also_to_whoever_settled_it_and_may_be_opened_again() {
    let app = TestApp::with(operators).await;
    app.post(&json!([bad("A-1")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let text = text_of(&browser.get(&page).await);
    let settled = browser
        .post_and_follow(&format!("{page}/settle"), &[])
        .await;
    assert!(settled.shows("Вернуть в список"));
    app.run("UPDATE journal_rejected SET settled_at = now() - interval '1 minute'")
        .await;
    let seen = send(&mut browser, &page, &with_total(&text, "710"), "send").await;
    assert_eq!(seen.status, 409);
    assert!(
        seen.shows("Уже разобрано: Анна, ") && seen.shows("\"total\": 710"),
        "{}",
        seen.text
    );
    assert_eq!(app.count("orders").await, 0);
    let opened = browser
        .post_and_follow(&format!("{page}/reopen"), &[])
        .await;
    assert!(opened.shows("Снова в списке."));
    assert_eq!(ids(&browser.get(REJECTED).await), ["A-1"]);
    // A second click notes nothing.
    browser.post(&format!("{page}/reopen"), &[]).await;
    let acts: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, details->>'order') FROM operator_action ORDER BY action")
        .await;
    assert_eq!(acts, ["Анна settle A-1", "Анна reopen A-1"]);
}

#[tokio::test]
async fn a_row_says_whose_order_it_was_and_a_page_where_in_it_what_is_wrong() {
    let app = TestApp::with(operators).await;
    let mut sent = changed(order("A-1"), "/total", "дорого");
    sent["client"]["phone"] = json!("8 908 328-08-32");
    app.post(&json!([sent])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(REJECTED).await;
    assert!(
        list.shows("Василий Тестовый, 8 908 328-08-32, дорого"),
        "{}",
        list.text
    );
    let page = listed(&list).remove(0);
    let seen = browser.get(&page).await;
    assert!(seen.text.contains("<code>total</code>"), "{}", seen.text);
    assert!(
        seen.text.contains("<code>&#34;дорого&#34;</code>"),
        "{}",
        seen.text
    );
    // What was erased is told to be.
    app.run("UPDATE journal_rejected SET body = ''").await;
    let seen = browser.get(&page).await;
    assert!(seen.shows("Данные стёрты по запросу клиента") && !seen.text.contains("<textarea"));
}

#[tokio::test]
async fn orders_without_an_id_that_are_sent_again_are_listed_once() {
    let app = TestApp::with(operators).await;
    app.post(&json!([7, "text"])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let mut listed = ids(&browser.get(REJECTED).await);
    listed.sort();
    assert_eq!(listed, ["без id (1-й в запросе)", "без id (2-й в запросе)"]);
    let seen = browser
        .post_and_follow(&format!("{REJECTED}/send"), &[])
        .await;
    assert!(
        seen.shows("Отправлено заказов: 2, из них принято: 0."),
        "{}",
        seen.text
    );
    assert!(!seen.text.contains("notice good"));
    assert_eq!(ids(&browser.get(REJECTED).await).len(), 2);
}

#[tokio::test]
async fn a_rejected_order_that_waits_is_found_by_its_clients_phone_or_name() {
    let app = TestApp::with(operators).await;
    let of = |id: &str, name: &str, phone: &str| {
        let mut order = bad(id);
        order["client"] = json!({ "username": name, "phone": phone });
        order
    };
    let mut taken = order("T-1");
    taken["client"]["username"] = json!("Анна Иная");
    app.post(&json!([
        of("R-1", "Анна Петрова", "8 908 328-08-32"),
        of("R-2", "Пётр Петров", "8 908 328-1"),
        taken
    ]))
    .await;
    let orders = format!("{BASE}/orders");
    let mut browser = Browser::of(&app, "Анна").await;
    let [second, first] = &listed(&browser.get(REJECTED).await)[..] else {
        panic!("two are rejected");
    };
    // One alone is opened.
    for (typed, due) in [
        ("0832", first),
        ("+7 908 328 08 32", first),
        ("анна петрова", first),
        ("петрова", first),
        ("ПЁТР", second),
        ("3281", second),
    ] {
        let seen = browser.post(&orders, &[("q", typed)]).await;
        assert_eq!(seen.location(), due, "{typed}");
    }
    let found = browser.post_and_follow(&orders, &[("q", "петров")]).await;
    let has = |seen: &Seen, page: &str| seen.text.contains(&format!("href=\"{page}\""));
    assert!(has(&found, first) && has(&found, second), "{}", found.text);
    assert!(
        found.shows("Пётр Петров, 8 908 328-1, -1") && found.shows("Принятых заказов таких нет.")
    );
    // Beside one that was taken both are listed.
    let found = browser.post_and_follow(&orders, &[("q", "анна")]).await;
    assert!(has(&found, first) && found.shows("T-1"), "{}", found.text);
    let nothing = browser.post_and_follow(&orders, &[("q", "0833")]).await;
    assert!(nothing.shows("Таких заказов нет."));
    // What was settled waits no more, and is found by its id alone; another publication's is nobody's here.
    browser.post(&format!("{first}/settle"), &[]).await;
    let nothing = browser.post_and_follow(&orders, &[("q", "0832")]).await;
    assert!(nothing.shows("Таких заказов нет."), "{}", nothing.text);
    let by_id = browser.post(&orders, &[("q", "R-1")]).await;
    assert_eq!(by_id.location(), first);
    let mut boss = Browser::of(&app, "boss").await;
    let theirs = format!("/console/p/{}/orders", percent("доставка"));
    let nothing = boss.post_and_follow(&theirs, &[("q", "петров")]).await;
    assert!(nothing.shows("Таких заказов нет."));
    // The page says how many it looked at where more wait.
    app.run(
        "INSERT INTO journal_rejected (publication, batch, position, order_key, body, faults)
         SELECT publication, batch, 100 + n, 'n' || n, '{}', '[]' FROM journal_batch CROSS JOIN generate_series(1, 500) n
         WHERE publication = 'demodelivery'",
    )
    .await;
    let cut = browser.post_and_follow(&orders, &[("q", "петров")]).await;
    assert!(cut.shows("просмотрены последние 500."), "{}", cut.text);
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn a_rejected_order_is_read_without_json_and_marked_where_it_is_wrong() {
    let app = TestApp::with(operators).await;
    let mut sent = changed(order("A-1"), "/total", "дорого");
    sent["client"]["phone"] = json!("8 908 328-08-32");
    sent["shipping_address"]["floor"] = json!("3");
    sent["order_item_list"] = json!([
        { "product_id": "water-19", "name": "Вода", "price": "355,50", "quantity": 2 },
        { "product_id": "pump", "price": "много", "quantity": 1 }
    ]);
    app.post(&json!([sent])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let seen = browser.get(&page).await;
    for part in [
        "<dt>Имя</dt><dd class=\"lines\">Василий Тестовый</dd>",
        "<dt>Телефон</dt><dd class=\"lines\">8 908 328-08-32</dd>",
        "город Сыктывкар улица Кутузова дом 19, этаж 3</dd>",
        "<dt>Начало доставки</dt><dd class=\"lines\">06.11.2026 14:00</dd>",
        "<dt>Сумма</dt><dd class=\"lines\">дорого <span class=\"wrong\">",
        "<td>Вода</td><td class=\"number\">355,50\u{a0}₽</td><td class=\"number\">× 2</td><td class=\"number\">711\u{a0}₽</td>",
        "<td>pump <span class=\"wrong\">Строка 2, Цена: ",
    ] {
        assert!(seen.text.contains(part), "{part}: {}", seen.text);
    }
    // After a check, what was written is read.
    let text = text_of(&seen)
        .replace("дорого", "много")
        .replace("Вода", "Лимонад");
    let checked = send(&mut browser, &page, &text, "check").await;
    assert!(
        checked.text.contains("<td>Лимонад</td>"),
        "{}",
        checked.text
    );
    // Of what was erased nothing is left.
    app.run("UPDATE journal_rejected SET body = ''").await;
    let erased = browser.get(&page).await;
    assert!(!erased.shows("Василий") && !erased.text.contains("order-read"));
}
