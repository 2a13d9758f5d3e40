//! What somebody wrote while his session ended is before him again after the login, and nothing is sent by that (contract §9).

use serde_json::json;

use crate::{
    console_kept::{REJECTED, listed, text_of, unescaped},
    support::{
        app::{TestApp, changed, order},
        console::{Browser, PASSWORD, Seen, operators},
    },
};

const NASTY: &str = "</textarea><script>alert(1)</script>\"'&\u{202e}gpj\n  =1+1";

/// A rejected order, its page, and what somebody wrote there before an hour went by.
async fn written() -> (TestApp, Browser, String, String) {
    let app = TestApp::with(operators).await;
    let sent = changed(order("A-1"), "/total", "дорого");
    app.post(&json!([changed(sent, "/comment", NASTY)])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let seen = browser.get(&page).await;
    assert_eq!(seen.field("writer"), "Анна");
    let text = text_of(&seen).replace("Кутузова", "Морозова");
    end_sessions(&app).await;
    (app, browser, page, text)
}

async fn end_sessions(app: &TestApp) {
    app.run("UPDATE operator_session SET seen_at = now() - interval '61 minutes'")
        .await;
}

fn form<'f>(text: &'f str, writer: &'f str) -> Vec<(&'f str, &'f str)> {
    vec![
        ("order", text),
        ("set:total", "720"),
        ("was:total", "дорого"),
        ("over", "1.1.1"),
        ("writer", writer),
        ("action", "send"),
    ]
}

/// The hidden fields of the page's form, as a browser sends them.
fn hidden(page: &Seen) -> Vec<(String, String)> {
    let inputs = page.text.split("<input type=\"hidden\" name=\"").skip(1);
    let pair = |input: &str| {
        let (name, value) = input.split_once("\" value=\"").unwrap();
        let value = unescaped(value.split('"').next().unwrap());
        // As a browser reads line ends, and sends them.
        let value = value.replace("\r\n", "\n").replace('\n', "\r\n");
        (name.to_owned(), value)
    };
    inputs.map(pair).collect()
}

/// Submits the form of the page with these fields besides.
async fn submit(browser: &mut Browser, page: &Seen, to: &str, more: &[(&str, &str)]) -> Seen {
    let hidden = hidden(page);
    let pairs = hidden.iter().map(|(name, value)| (&**name, &**value));
    let pairs: Vec<(&str, &str)> = pairs.chain(more.iter().copied()).collect();
    browser.post(to, &pairs).await
}

#[tokio::test]
async fn what_was_written_when_the_session_ended_is_there_again_after_the_login() {
    let (app, mut browser, page, text) = written().await;
    let send = format!("{page}/send");
    let batches = app.count("journal_batch").await;
    let asked = browser.post(&send, &form(&text, "Анна")).await;
    assert_eq!(asked.status, 403);
    assert!(
        asked.shows("Сеанс закончился, ничего не отправлено."),
        "{}",
        asked.text
    );
    assert!(!asked.text.contains("<script>alert") && !asked.text.contains('\u{202e}'));
    assert!(asked.text.contains("name=\"login\" value=\"Анна\""));
    let names: Vec<String> = hidden(&asked).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["next", "writer", "order", "set:total", "was:total"]);

    let wrong = [("login", "Анна"), ("password", "wrong")];
    let again = submit(&mut browser, &asked, "/console/login", &wrong).await;
    assert_eq!(again.status, 403);
    assert!(again.shows("Логин или пароль не подходит."));
    assert_eq!(hidden(&again), hidden(&asked));
    assert!(!again.text.contains("wrong"));

    let right = [("login", " Анна "), ("password", PASSWORD)];
    let inside = submit(&mut browser, &again, "/console/login", &right).await;
    assert_eq!(inside.status, 200, "{}", inside.text);
    assert!(inside.text.contains(&format!("action=\"{send}\"")));
    assert!(!inside.text.contains(PASSWORD) && !inside.text.contains("name=\"over\""));
    assert_eq!(hidden(&inside).last().unwrap().1, "keep");

    let back = submit(&mut browser, &inside, &send, &[]).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert!(back.shows("Ваш текст снова здесь. Он ещё не отправлен."));
    assert_eq!(text_of(&back), text.replace("\"дорого\"", "720"));
    assert!(back.text.contains("data-unsaved"));
    assert_eq!(app.count("orders").await, 0);
    assert_eq!(app.count("journal_batch").await, batches);
    assert_eq!(app.count("operator_action").await, 0);

    let corrected = text_of(&back);
    let form = [("order", &*corrected), ("action", "send")];
    let done = browser.post(&send, &form).await;
    assert!(done.location().contains("/orders/"), "{}", done.text);
    let comment: String = app.value("SELECT comment FROM orders").await;
    assert_eq!(comment, NASTY);
}

#[tokio::test]
async fn a_text_that_is_no_json_and_a_field_are_carried_as_they_are() {
    let (_app, mut browser, page, _) = written().await;
    let send = format!("{page}/send");
    let asked = browser.post(&send, &form("\r\n{\"a\": }", "Анна")).await;
    let right = [("login", "Анна"), ("password", PASSWORD)];
    let inside = submit(&mut browser, &asked, "/console/login", &right).await;
    let back = submit(&mut browser, &inside, &send, &[]).await;
    assert_eq!(text_of(&back).trim(), "{\"a\": }");
    assert!(
        back.text.contains("value=\"720\"") && back.shows("снова здесь"),
        "{}",
        back.text
    );
}

#[tokio::test]
async fn whoever_else_logs_in_gets_the_page_without_what_was_written() {
    let (app, mut browser, page, text) = written().await;
    let send = format!("{page}/send");
    let asked = browser.post(&send, &form(&text, "Анна")).await;
    let boss = [("login", "boss"), ("password", PASSWORD)];
    let inside = submit(&mut browser, &asked, "/console/login", &boss).await;
    assert_eq!((inside.status.as_u16(), inside.location()), (303, &*page));
    let seen = browser.get(&page).await;
    assert!(!seen.shows("Морозова") && seen.shows("Кутузова"));
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn what_another_site_sends_is_refused_and_never_carried() {
    let (app, mut browser, page, text) = written().await;
    let send = format!("{page}/send");
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X-Nothing", "1"),
    ] {
        for to in [&*send, "/console/login"] {
            let request = browser.form(to, &form(&text, "Анна")).header(name, value);
            let seen = browser.see(request).await;
            assert_eq!(seen.status, 403, "{name} {to}");
            assert!(
                seen.shows("Запрос отклонён") && !seen.shows("Морозова"),
                "{}",
                seen.text
            );
        }
    }
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn an_action_after_the_sessions_end_is_told_to_be_undone_and_leads_back_to_its_page() {
    let (app, mut browser, page, _) = written().await;
    let own = format!("http://{}", app.operators_address);
    for (referer, due) in [
        (
            format!("{own}{page}?done=rejected"),
            &*format!("{page}?done=rejected"),
        ),
        ("https://evil.example/somewhere".to_owned(), "/console"),
        ("nonsense".to_owned(), "/console"),
    ] {
        let settle = browser
            .form(&format!("{page}/settle"), &[])
            .header("Sec-Fetch-Site", "same-origin")
            .header("Referer", &referer);
        let asked = browser.see(settle).await;
        assert_eq!(asked.status, 303, "{referer}");
        let login = browser.get(asked.location()).await;
        assert_eq!(login.status, 200, "{referer}");
        assert!(login.shows("ничего не сделано"), "{}", login.text);
        assert_eq!(login.field("next"), due);
    }
    let unsettled = "SELECT count(*) FROM journal_rejected WHERE settled_at IS NULL";
    assert_eq!(app.value::<i64>(unsettled).await, 1);
    let login = browser.get("/console/login?next=/console").await;
    assert!(!login.shows("ничего не сделано"), "{}", login.text);
}

#[tokio::test]
async fn whoever_looks_where_a_text_is_sent_gets_to_its_page() {
    let (app, _, page, _) = written().await;
    let mut browser = Browser::of(&app, "Анна").await;
    let seen = browser.get(&format!("{page}/send")).await;
    assert_eq!((seen.status.as_u16(), seen.location()), (303, &*page));
}

#[tokio::test]
async fn only_the_text_of_a_kept_order_is_carried_and_only_to_its_page() {
    let (app, mut browser, page, text) = written().await;
    // Other actions begin anew; more than a form may have is not read.
    for (to, text) in [
        (format!("{page}/settle"), text.clone()),
        (format!("{REJECTED}/send"), text.clone()),
        (format!("{page}/send"), "я".repeat(180_000)),
    ] {
        let seen = browser.post(&to, &form(&text, "Анна")).await;
        assert_eq!(seen.status, 303, "{to}");
        assert!(
            seen.location().starts_with("/console/login?next=") && seen.location().len() < 300,
            "{}",
            seen.location()
        );
    }
    // A login that claims to carry it elsewhere leads there, and takes nothing along.
    for next in [REJECTED, "/console", "https://evil.example/p/a/kept/b/c"] {
        let mut login = form(&text, "Анна");
        login.extend([("login", "Анна"), ("password", PASSWORD), ("next", next)]);
        let seen = browser.post("/console/login", &login).await;
        assert_eq!(seen.status, 303, "{next}");
        assert!(!seen.location().contains("evil"), "{next}");
    }
    // Meanwhile somebody else settled it: nothing is lost, and nothing sent.
    end_sessions(&app).await;
    let send = format!("{page}/send");
    let asked = browser.post(&send, &form(&text, "Анна")).await;
    let mut boss = Browser::of(&app, "boss").await;
    boss.post(&format!("{page}/settle"), &[]).await;
    let right = [("login", "Анна"), ("password", PASSWORD)];
    let inside = submit(&mut browser, &asked, "/console/login", &right).await;
    let back = submit(&mut browser, &inside, &send, &[]).await;
    assert_eq!(back.status, 409);
    assert!(
        back.shows("Уже разобрано: boss, ") && back.shows("Морозова"),
        "{}",
        back.text
    );
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn the_choice_of_a_language_at_the_login_keeps_the_text_and_the_way_back() {
    let (app, mut browser, page, text) = written().await;
    let send = format!("{page}/send");
    let asked = browser.post(&send, &form(&text, "Анна")).await;
    assert!(
        asked.text.contains("formaction=\"/console/language\""),
        "{}",
        asked.text
    );
    let typed = [("login", "Анна"), ("password", "typed"), ("language", "en")];
    let english = submit(&mut browser, &asked, "/console/language", &typed).await;
    assert_eq!(english.status, 200, "{}", english.text);
    assert!(
        english.text.contains("<html lang=\"en\">"),
        "{}",
        english.text
    );
    assert_eq!(hidden(&english), hidden(&asked));
    assert!(
        english.text.contains("name=\"login\" value=\"Анна\"") && !english.text.contains("typed")
    );
    let right = [("login", "Анна"), ("password", PASSWORD)];
    let inside = submit(&mut browser, &english, "/console/login", &right).await;
    let back = submit(&mut browser, &inside, &send, &[]).await;
    assert_eq!(text_of(&back), text.replace("\"дорого\"", "720"));
    // Without a text the way is kept.
    end_sessions(&app).await;
    let asked = browser.get(&page).await;
    let asked = browser.get(asked.location()).await;
    let there = submit(
        &mut browser,
        &asked,
        "/console/language",
        &[("language", "ru")],
    )
    .await;
    assert_eq!((there.status.as_u16(), there.location()), (303, &*page));
}
