//! The list of orders as a file: what it has, who may take it, and that no text in it is a formula.

use std::io::{Cursor, Read as _};

use serde_json::json;

use crate::support::{
    app::{TestApp, changed, order},
    console::{Browser, Seen, operators},
};

const EXPORT: &str = "/console/p/demodelivery/orders/export";

/// What somebody would write who means harm.
const NASTY: &str = "=HYPERLINK(\"http://evil.example\";\"x\")\u{202e}";

async fn filled() -> TestApp {
    let app = TestApp::with(operators).await;
    let at = |id: &str, day: u32| {
        let sent = changed(
            order(id),
            "/created_at",
            format!("2026-11-{day:02}T11:05:00Z"),
        );
        let sent = changed(sent, "/shipping_date_from", "2026-11-27T06:00:00Z");
        changed(sent, "/shipping_date_to", "2026-11-27T09:00:00Z")
    };
    let mut nasty = at("@SUM(A1)", 2);
    for (pointer, value) in [
        ("/client/username", NASTY),
        ("/client/phone", "8 908 328-08-32"),
        ("/shipping_address/street", "-1+2"),
        ("/shipping_address/city", "\t+1"),
        ("/total", "1250.5"),
        ("/comment", "=1+1"),
        ("/payment_type", "card"),
        ("/delivery_cost", "30.5"),
        ("/coins", "много"),
    ] {
        nasty = changed(nasty, pointer, value);
    }
    nasty = changed(nasty, "/payment_status", true);
    nasty = changed(nasty, "/count_of_returned_bottles", 2);
    nasty["order_item_list"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "product_id": "pump", "name": "помпа", "price": 1, "quantity": 1 }));
    let foreign = changed(at("0012", 3), "/client/phone", "+4915112345678");
    let removed = changed(at("removed", 1), "/status", "removed");
    app.post(&json!([nasty, foreign, removed])).await;
    app.run(
        "INSERT INTO order_receiver (publication, order_number, version, number, error, said_at)
         SELECT publication, number, 1, '+АВ-1', 'нет', now() FROM orders WHERE sender_id = '0012'",
    )
    .await;
    app
}

async fn raw(browser: &Browser, form: &[(&str, &str)]) -> Vec<u8> {
    let request = browser
        .form(EXPORT, form)
        .header("Sec-Fetch-Site", "same-origin");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

fn lines(file: &Seen) -> Vec<String> {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    text.lines()
        .map(|line| line.replace('\u{a0}', " "))
        .collect()
}

/// A file of a workbook.
fn part(workbook: &[u8], name: &str) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).unwrap();
    let mut text = String::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[tokio::test]
async fn csv_has_what_the_list_shows_and_opens_in_a_russian_spreadsheet() {
    let app = filled().await;
    let mut anna = Browser::of(&app, "Анна").await;
    let file = anna.post(EXPORT, &[("format", "csv")]).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
    let name = file.headers["content-disposition"].to_str().unwrap();
    assert!(
        name.starts_with("attachment; filename=\"orders-20") && name.ends_with(".csv\""),
        "{name}"
    );
    assert_eq!(file.headers["cache-control"], "no-store");
    let begin = raw(&anna, &[("format", "csv")]).await;
    assert!(begin.starts_with(b"\xef\xbb\xbf"), "a BOM");
    let lines = lines(&file);
    assert_eq!(
        lines[0],
        "Заказ;Номер на сайте;Статус;Создан;Доставка с;Доставка до;Клиент;Телефон;Адрес;Сумма;Номер в 1С;Не принят в 1С;\
         Есть строка без товара;С замечаниями;Состав;Кол-во;Оплата;Оплачен;Стоимость доставки;Вернуть бутылей;Комментарий;\
         Почему не принят в 1С;Какие замечания"
    );
    let number = |line: &str| line.split(';').next().unwrap().to_owned();
    let unnumbered: Vec<String> = lines[1..]
        .iter()
        .map(|line| line.replacen(&number(line), "N", 1))
        .collect();
    assert_eq!(
        unnumbered,
        [
            "N;0012;Новый;03.11.2026 14:05;27.11.2026 09:00;27.11.2026 12:00;Василий Тестовый;'+4915112345678;\
             Кутузова, д. 19, г. Сыктывкар;710,00;'+АВ-1;да;да;;water-19 × 2;2;;нет;;0;;нет;",
            "N;'@SUM(A1);Новый;02.11.2026 14:05;27.11.2026 09:00;27.11.2026 12:00;\
             \"'=HYPERLINK(\"\"http://evil.example\"\";\"\"x\"\")[U+202E]\";8 908 328-08-32;'-1+2, д. 19, г. \t+1;1250,50;;;да;да;\"water-19 × 2; помпа × 1\";3;картой;да;30,50;2;'=1+1;;\
             \"Баллы: неверный тип, ожидается число; значение не учтено; Строка 1, Номер товара: товар не найден, строка сохранена без товара; \
             Строка 2, Номер товара: товар не найден, строка сохранена без товара\"",
            "N;removed;Отменён;01.11.2026 14:05;27.11.2026 09:00;27.11.2026 12:00;Василий Тестовый;;\
             Кутузова, д. 19, г. Сыктывкар;710,00;;;да;;water-19 × 2;2;;нет;;0;;;",
        ]
    );
}

#[tokio::test]
async fn an_export_has_what_the_filter_shows_and_is_noted_with_it() {
    let app = filled().await;
    let mut anna = Browser::of(&app, "Анна").await;
    for (form, due) in [
        (&[("format", "csv"), ("status", "removed")][..], 1),
        (
            &[
                ("format", "csv"),
                ("from", "2026-11-02"),
                ("to", "2026-11-02"),
            ],
            1,
        ),
        (
            &[("format", "csv"), ("not_taken", "1"), ("status", "new")],
            1,
        ),
        (&[("format", "csv"), ("status", "completed")], 0),
    ] {
        let file = anna.post(EXPORT, form).await;
        assert_eq!(lines(&file).len(), 1 + due, "{form:?}");
    }
    let name = async |form: &[(&str, &str)]| {
        let request = anna
            .form(EXPORT, form)
            .header("Sec-Fetch-Site", "same-origin");
        let file = request.send().await.unwrap();
        file.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let form = [
        ("format", "xlsx"),
        ("from", "2026-11-01"),
        ("to", "2026-11-02"),
    ];
    assert_eq!(
        name(&form).await,
        "attachment; filename=\"orders-2026-11-01_2026-11-02-demodelivery.xlsx\""
    );
    app.run("DELETE FROM operator_action WHERE details->>'format' = 'xlsx'")
        .await;
    let acts: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, details) FROM operator_action ORDER BY action")
        .await;
    assert_eq!(
        acts,
        [
            r#"Анна export_orders {"filter": {"status": "removed"}, "format": "csv"}"#,
            r#"Анна export_orders {"filter": {"to": "2026-11-02", "from": "2026-11-02"}, "format": "csv"}"#,
            r#"Анна export_orders {"filter": {"status": "new", "not_taken": "1"}, "format": "csv"}"#,
            r#"Анна export_orders {"filter": {"status": "completed"}, "format": "csv"}"#,
        ]
    );
    let seen = Browser::of(&app, "boss")
        .await
        .get("/console/p/demodelivery/actions")
        .await;
    assert!(
        seen.shows("выгрузка заказов: CSV: Новые, Не принят в 1С"),
        "{}",
        seen.text
    );
    // Days are told as people write them.
    assert!(
        seen.shows("Создан с 02.11.2026, по 02.11.2026"),
        "{}",
        seen.text
    );
    // Of an erased client the file says what the list says.
    app.run("UPDATE client SET username = ''").await;
    let file = anna.post(EXPORT, &[("format", "csv")]).await;
    assert_eq!(
        file.text.matches(";стёрто по запросу;").count(),
        3,
        "{}",
        file.text
    );
    // The page has what the form sends.
    let page = anna
        .get("/console/p/demodelivery/orders?status=new&unmatched=1")
        .await;
    assert_eq!(
        (page.field("unmatched").as_str(), page.text.contains(EXPORT)),
        ("1", true)
    );
}

#[tokio::test]
async fn a_workbook_has_texts_numbers_and_dates_and_no_formula() {
    let app = filled().await;
    let anna = Browser::of(&app, "Анна").await;
    let workbook = raw(&anna, &[("format", "xlsx"), ("status", "new")]).await;
    let sheet = part(&workbook, "xl/worksheets/sheet1.xml");
    for formula in ["<f>", "<f ", "<hyperlink", "t=\"str\""] {
        assert!(!sheet.contains(formula), "{formula} in {sheet}");
    }
    let texts = part(&workbook, "xl/sharedStrings.xml");
    for text in [
        "=HYPERLINK(\"http://evil.example\";\"x\")[U+202E]",
        "@SUM(A1)",
        "-1+2, д. 19, г. ",
        "8 908 328-08-32",
        "+4915112345678",
        "0012",
        "+АВ-1",
    ] {
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;");
        assert!(
            texts.contains(text) || texts.contains(&escaped),
            "no {text} in {texts}"
        );
    }
    // No spaces that a search for a phone does not find.
    assert!(!texts.contains('\u{a0}'), "{texts}");
    assert!(sheet.contains("<autoFilter ref=\"A1:W3\"/>"), "{sheet}");
    // An amount, and a day counted from 1900.
    assert!(sheet.contains("<v>1250.5</v>"), "{sheet}");
    assert!(sheet.contains("<v>46328."), "{sheet}");
    let about = part(&workbook, "xl/worksheets/sheet2.xml");
    // How many there are and what they cost, as numbers.
    assert!(
        about.contains("<v>2</v>") && about.contains("<v>1960.5</v>"),
        "{about}"
    );
    assert!(
        about.contains("<row") && texts.contains("Анна") && texts.contains("Новые"),
        "{texts}"
    );
    // Nothing that a spreadsheet would fetch or run.
    let archive = zip::ZipArchive::new(Cursor::new(&workbook[..])).unwrap();
    for name in archive.file_names() {
        let name = name.unwrap();
        for harm in ["vba", "external", "activeX", "connections"] {
            assert!(!name.contains(harm), "{name}");
        }
    }
}

#[tokio::test]
async fn more_orders_than_are_read_at_once_come_whole_and_a_workbook_says_where_it_ends() {
    let app = TestApp::with(operators).await;
    app.run(
        "INSERT INTO client (publication, number, sender_id, username) VALUES ('demodelivery', 1, 'c', 'Клиент');
         INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, created_at, total,
                             shipping_date_from, shipping_date_to, shipping_address)
         SELECT 'demodelivery', n, gen_random_uuid(), 'order ' || n, 'new', 1, now() - n * interval '1 minute', 710, now(), now(),
                '{\"city\": \"С\", \"street\": \"К\", \"house\": \"1\", \"str\": \"К 1\"}'
         FROM generate_series(1, 20100) n;
         ANALYZE",
    )
    .await;
    let mut anna = Browser::of(&app, "Анна").await;
    let file = anna.post(EXPORT, &[("format", "csv")]).await;
    let lines = lines(&file);
    let numbers: Vec<i32> = lines[1..]
        .iter()
        .map(|line| line.split(';').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(1..=20_100), "{}", numbers.len());
    let workbook = raw(&anna, &[("format", "xlsx")]).await;
    let sheet = part(&workbook, "xl/worksheets/sheet1.xml");
    assert_eq!(sheet.matches("<row ").count(), 20_001);
    let texts = part(&workbook, "xl/sharedStrings.xml");
    assert!(
        texts.contains("Более старые заказы в этот файл не попали."),
        "the second sheet says so"
    );
}

#[tokio::test]
async fn nobody_exports_from_another_site_another_publication_or_in_another_form() {
    let app = filled().await;
    let mut anna = Browser::of(&app, "Анна").await;
    let form = [("format", "csv")];
    let foreign = anna
        .form(EXPORT, &form)
        .header("Origin", "https://evil.example");
    assert_eq!(anna.see(foreign).await.status, 403);
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/orders/export";
    assert_eq!(anna.post(theirs, &form).await.status, 404);
    assert_eq!(anna.post(EXPORT, &[("format", "exe")]).await.status, 404);
    assert_eq!(anna.get(EXPORT).await.status, 405);
    let mut stranger = Browser::at(app.operators_address);
    assert_eq!(stranger.post(EXPORT, &form).await.status, 303);
    assert_eq!(app.count("operator_action").await, 0);
}
