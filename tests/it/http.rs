//! Contract §1: the call, its whole-request outcomes and real senders' habits, over real loopback TCP.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aqua_orders::config::{self};
use async_compression::{
    tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder},
    zstd::CParameter,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{
    app::{Answer, ORDERS, TestApp, changed, order},
    config::demo_config,
    postgres::database,
    talk::{PATIENCE, Service, post},
};

// --- The address ---

#[tokio::test]
async fn the_publication_is_percent_decoded_utf_8_and_compared_without_case_and_has_aliases() {
    let service = Service::demo().await;
    for publication in [
        "demodelivery",
        "DemoDelivery",
        "demodelivery_WEB",
        "%64emodelivery",
        "%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0",
        "%d0%94%D0%9E%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0", // ДОставка
        "Доставка",                                         // as 1C's own HTTP client leaves it
    ] {
        let path = format!("/{publication}/hs/AquaDeliveri/getOrdersURL");
        let answer = service.ask(post(&path, "", "[]")).await;
        assert_eq!(answer.status, 200, "{publication}");
    }
}

#[tokio::test]
async fn the_fixed_part_is_matched_without_case_with_or_without_a_trailing_slash_and_a_query_is_ignored()
 {
    let service = Service::demo().await;
    for rest in [
        "hs/AquaDeliveri/getOrdersURL",
        "hs/aquadeliveri/getordersurl",
        "HS/AQUADELIVERI/GETORDERSURL",
        "hs/AquaDeliveri/getOrdersURL/",
        "hs/AquaDeliveri/getOrdersURL?",
        "hs/AquaDeliveri/getOrdersURL/?a=b&c=/d",
        "hs/%41quaDeliveri/getOrdersURL",
    ] {
        let answer = service
            .ask(post(&format!("/demodelivery/{rest}"), "", "[]"))
            .await;
        assert_eq!(answer.status, 200, "{rest}");
    }
    let absolute = format!("http://test{ORDERS}");
    assert_eq!(service.ask(post(&absolute, "", "[]")).await.status, 200);
}

/// The orders' address as hands put it together and copy it; `{}` stands for the publication.
const COPIED: [&str; 11] = [
    "//{}/hs/AquaDeliveri/getOrdersURL",
    "/{}//hs/AquaDeliveri/getOrdersURL",
    "///{}/hs//aquadeliveri///getordersurl//",
    "/{}/hs/AquaDeliveri/getOrdersURL%20",
    "/{}/hs/AquaDeliveri/getOrdersURL/%20%20/",
    "/{}/hs/AquaDeliveri/getOrdersURL%09%0d%0A",
    "/{}/hs/AquaDeliveri/getOrdersURL%C2%A0",
    "/{}/hs/AquaDeliveri/getOrdersURL%e2%80%8b/",
    "/{}/hs/AquaDeliveri/getOrdersURL\u{A0}",
    "/{}//hs/AquaDeliveri/getOrdersURL%20?a=b",
    "http://test//{}/hs/AquaDeliveri/getOrdersURL/%20",
];

#[tokio::test]
async fn several_slashes_count_as_one_and_blanks_at_the_paths_end_are_dropped() {
    let service = Service::demo().await;
    for path in COPIED {
        let path = path.replace("{}", "demodelivery");
        service.ask(post(&path, "", "[1]")).await.took(1);
    }
    // Whoever is refused is refused in the same words at all of them.
    for path in COPIED {
        let stranger = post(&path.replace("{}", "nobody"), "", "[1]");
        service.ask(stranger).await.refused(401, "unauthorized");
        let path = path.replace("{}", "demodelivery");
        let get = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = service.ask(get).await;
        answer.refused(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"), "{path}");
        assert!(answer.message().contains("работает"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let service = Service::demo().await;
    for path in [
        "/",
        "/demodelivery",
        "/hs/AquaDeliveri/getOrdersURL",
        "/demodelivery/hs/AquaDeliveri",
        "//hs/AquaDeliveri/getOrdersURL",
        "/demodelivery/hs/AquaDeliveri/getOrdersURL+",
        "/demodelivery/hs/AquaDeliveri/getOrdersURL%2F",
        "/demodelivery/hs/AquaDeliveri/getOrdersURL%00",
        "/demodelivery/hs/AquaDeliveri/%20getOrdersURL",
        "/demodelivery/hs/AquaDeliveri/getOrdersURL/more",
        "/demodelivery/hs/AquaDeliveri/getOrders",
        "/more/demodelivery/hs/AquaDeliveri/getOrdersURL",
        "/demodelivery%2Fhs/AquaDeliveri/getOrdersURL",
        "/demodelivery/%FF/AquaDeliveri/getOrdersURL",
    ] {
        let answer = service.ask(post(path, "", "[]")).await;
        answer.refused(404, "not_found");
        let got = service
            .ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
        got.refused(404, "not_found");
    }
    let asterisk = "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n";
    service.ask(asterisk).await.refused(404, "not_found");
}

#[tokio::test]
async fn another_method_is_405_and_says_that_the_service_works_here_and_waits_for_post() {
    let service = Service::demo().await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        // A stranger learns from it neither which publications exist nor which need a password.
        for path in [
            ORDERS,
            "/nobody/hs/aquadeliveri/getordersurl/",
            "/%FF/hs/AquaDeliveri/getOrdersURL",
        ] {
            let answer = service
                .ask(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
                .await;
            answer.refused(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
            assert_eq!(
                answer.message(),
                "Сервис работает: по этому адресу он ждёт POST с JSON-массивом заказов."
            );
        }
    }
    let english = format!("GET {ORDERS} HTTP/1.1\r\nHost: test\r\nAccept-Language: en\r\n\r\n");
    assert_eq!(
        service.ask(english).await.message(),
        "The service works: at this address it waits for POST with a JSON array of orders."
    );
}

#[tokio::test]
async fn head_is_answered_as_get_is_but_without_a_body() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    let head = format!("HEAD {ORDERS} HTTP/1.1\r\nHost: test\r\n\r\n");
    caller.send(&head).await;
    let answer = caller.answer_without_body().await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    // Had a body come, the next answer would not be where it is expected.
    caller.send(post(ORDERS, "", "[]")).await;
    caller.answer().await.took(0);
}

#[tokio::test]
async fn an_unknown_publication_is_401_with_www_authenticate() {
    let service = Service::demo().await;
    let mut bodies = Vec::new();
    for publication in [
        "nobody",
        "%20",
        "%FF",
        "%D0",
        "%ZZ",
        "demodelivery%00",
        "demodelivery%2F",
    ] {
        let path = format!("/{publication}/hs/AquaDeliveri/getOrdersURL");
        let answer = service.ask(post(&path, "", "[]")).await;
        answer.refused(401, "unauthorized");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Basic realm="AquaDeliveri", charset="UTF-8""#)
        );
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "all look the same");
}

// --- What the body may be ---

#[tokio::test]
async fn what_is_not_json_is_malformed_json_with_line_and_column() {
    let service = Service::demo().await;
    for (body, place) in [
        ("[", "текст обрывается (строка 1, столбец 1)"),
        ("[{\"id\":\"1\"}", "текст обрывается (строка 1, столбец 11)"),
        ("[\n 1,\n oops]", "ошибка в строке 3, столбце 2"),
        ("[]]", "ошибка в строке 1, столбце 3"),
        ("[] []", "ошибка в строке 1, столбце 4"),
        ("[1,]", "ошибка в строке 1, столбце 4"),
        ("[\"Кутузова\" 1]", "ошибка в строке 1, столбце 13"),
        ("{\"Кутузова\":}", "ошибка в строке 1, столбце 13"),
        ("{} x", "ошибка в строке 1, столбце 4"),
        ("[] \u{FEFF}", "ошибка в строке 1, столбце 4"),
        ("{\"0\":1,\"Кутузова\":}", "ошибка в строке 1, столбце 19"),
        ("{\"0\":1 \"1\":2}", "ошибка в строке 1, столбце 8"),
        ("{\"0\":\n1,", "текст обрывается (строка 2, столбец 2)"),
        ("{0:1}", "ошибка в строке 1, столбце 2"),
    ] {
        let answer = service.post("", body).await;
        answer.refused(400, "malformed_json");
        assert_eq!(
            answer.message(),
            format!("Тело запроса — не JSON: {place}."),
            "{body:?}"
        );
    }
    let english = service.post("Accept-Language: en\r\n", "[\n1 2]").await;
    assert_eq!(
        english.message(),
        "The body is not JSON: error at line 2, column 3."
    );
}

#[tokio::test]
async fn the_message_of_a_400_says_what_came_instead() {
    let service = Service::demo().await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[{\"city\":\"Сыктывкар\"}]");
    let utf_16: Vec<u8> = "[{\"city\":\"Сыктывкар\"}]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let gzip = compressed(GzipEncoder::new(Vec::new()), b"[{\"id\":\"1\"}]").await;
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"orders\"\r\n\r\n[]\r\n--x--";
    // A body, the code, the place where JSON ends, and words of both languages.
    let cases: [(&[u8], &str, &str, &str, &str); 25] = [
        (
            b"",
            "malformed_json",
            "(строка 1, столбец 1)",
            "Тело пустое",
            "body is empty",
        ),
        (
            b" \r\n\t",
            "malformed_json",
            "строка 2",
            "Тело пустое",
            "body is empty",
        ),
        (
            b"\xEF\xBB\xBF",
            "malformed_json",
            "строка 1",
            "Тело пустое",
            "body is empty",
        ),
        (
            b"orders=%5B%7B%7D%5D",
            "malformed_json",
            "столбце 1.",
            "форма",
            "form came",
        ),
        (
            b"id=1&status=new",
            "malformed_json",
            "столбце 1.",
            "форма",
            "form came",
        ),
        (
            b"orders%5B0%5D%5Bid%5D=1",
            "malformed_json",
            "столбце 1.",
            "форма",
            "form came",
        ),
        (
            b"%5B%7B%22id%22%3A1%7D%5D",
            "malformed_json",
            "столбце 1.",
            "форма",
            "form came",
        ),
        (
            multipart.as_bytes(),
            "malformed_json",
            "столбце 2.",
            "multipart",
            "multipart",
        ),
        (
            b"<?xml version=\"1.0\"?><orders/>",
            "malformed_json",
            "столбце 1.",
            "XML",
            "XML",
        ),
        (
            b"<!doctype html>",
            "malformed_json",
            "столбце 1.",
            "HTML",
            "HTML",
        ),
        (&utf_16, "malformed_json", "столбце 2.", "UTF-16", "UTF-16"),
        (b"[{}]\0", "malformed_json", "столбце 5.", "NUL", "NUL"),
        (
            b"{\"id\":\"1\",\"status\":\"new\"}",
            "not_an_array",
            "",
            "один объект",
            "one object",
        ),
        (
            b"{\"phones\":[],\"id\":\"1\"}",
            "not_an_array",
            "",
            "один объект",
            "one object",
        ),
        (
            b"{\"0\":{},\"a\":{}}",
            "not_an_array",
            "",
            "один объект",
            "one object",
        ),
        (b"{}", "not_an_array", "", "один объект", "one object"),
        (
            b"{\"orders\":[{}]}",
            "not_an_array",
            "",
            "под ключом «orders»",
            "under the key \"orders\"",
        ),
        (
            b"{\"data\":{\"orders\":[{}]}}",
            "not_an_array",
            "",
            "под ключом «data.orders»",
            "under the key \"data.orders\"",
        ),
        (
            b"{\"v\":{\"x\":1},\"orders\":{\"0\":{},\"2\":{}}}",
            "not_an_array",
            "",
            "список в нём под ключом «orders»",
            "the list under the key \"orders\"",
        ),
        (
            b"{\"v\":1,\"data<b>\": [1]}",
            "not_an_array",
            "",
            "«datab»",
            "\"datab\"",
        ),
        (
            br#"{"\u0437\u0430\u043a\u0430\u0437\u044b":[1]}"#,
            "not_an_array",
            "",
            "«заказы»",
            "\"заказы\"",
        ),
        (
            b"\"[{\\\"id\\\":\\\"1\\\"}]\"",
            "not_an_array",
            "",
            "закодирован дважды",
            "encoded twice",
        ),
        (
            b"null",
            "not_an_array",
            "",
            "Ожидается JSON-массив заказов.",
            "A JSON array of orders is expected.",
        ),
        (
            &windows_1251,
            "bad_encoding",
            "",
            "charset=windows-1251",
            "charset=windows-1251",
        ),
        (&gzip, "bad_encoding", "", "тело сжато", "looks compressed"),
    ];
    for (body, code, place, russian, english) in cases {
        let shown = String::from_utf8_lossy(body);
        let answer = service.post("", body).await;
        answer.refused(400, code);
        let message = answer.message();
        assert!(
            message.contains(russian) && message.contains(place),
            "{shown}: {message}"
        );
        let answer = service.post("Accept-Language: en\r\n", body).await;
        assert!(
            answer.message().contains(english),
            "{shown}: {}",
            answer.message()
        );
    }
}

#[tokio::test]
async fn an_array_in_the_addresss_query_is_no_body_and_the_message_says_so() {
    let service = Service::demo().await;
    for (query, came) in [
        ("data=[{}]", "в адресе"),
        ("a=b&orders=%5B%7B%22id%22%3A1%7D%5D", "в адресе"),
        ("%7B%7D", "в адресе"),
        ("dry_run=true", "Тело пустое:"),
        ("", "Тело пустое:"),
    ] {
        let answer = service
            .ask(post(&format!("{ORDERS}?{query}"), "", ""))
            .await;
        answer.refused(400, "malformed_json");
        assert!(
            answer.message().contains(came),
            "{query}: {}",
            answer.message()
        );
    }
    // A body that came counts, whatever the query has.
    let answer = service
        .ask(post(&format!("{ORDERS}?data=[]"), "", "[1]"))
        .await;
    answer.took(1);
}

#[tokio::test]
async fn an_object_whose_keys_are_all_whole_numbers_is_the_list_in_the_order_of_its_keys() {
    let service = Service::demo().await;
    let many_zeros = "0".repeat(100);
    let body =
        r#"{"10":{"id":"d"},"9":7,"2":{"id":"x"},"02":{"id":"b"},"0":{"id":"a"},"2":{"id":"c"}}"#;
    let answer = service.post("", body).await;
    answer.took(5);
    let keys = [r#""a":"#, r#""c":"#, r#""b":"#, r##""#3":"##, r#""d":"#];
    let places = keys.map(|key| answer.text().find(key).expect("an entry"));
    assert!(places.is_sorted(), "{}", answer.text());
    for (body, elements) in [
        (r#"{"0":{"x":1}}"#.to_owned(), 1),
        (r#" { "5" : "a" , "0" : "b" } "#.to_owned(), 2),
        (r#"{"\u0030":"a","7":"b"}"#.to_owned(), 2),
        (r#"{"1":"a","01":"b","1":"c"}"#.to_owned(), 2),
        (format!(r#"{{"1{many_zeros}":"a","2":"b"}}"#), 2),
        (r#"{"0":"\ud800","1":1e400}"#.to_owned(), 2),
        ("\u{FEFF}{\"0\":1}".to_owned(), 1),
    ] {
        service.post("", &body).await.took(elements);
        let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode(&body);
        if !body.starts_with('\u{FEFF}') {
            let headers = "Content-Type: a/b; charset=windows-1251\r\n";
            service.post(headers, &windows_1251).await.took(elements);
        }
        for (coding, bytes) in compressed_every_way(body.as_bytes()).await {
            let headers = format!("Content-Encoding: {coding}\r\n");
            service.post(&headers, bytes).await.took(elements);
        }
    }
    for body in [
        r#"{"-1":1}"#,
        r#"{"1.0":1}"#,
        r#"{"":1}"#,
        r#"{" 1":1}"#,
        r#"{"1e1":1}"#,
        r#"{"0":1,"x":2}"#,
        r#"{"\ud800":1}"#,
    ] {
        service.post("", body).await.refused(400, "not_an_array");
    }
}

#[tokio::test]
async fn a_list_with_holes_has_the_limits_of_an_array() {
    let service = Service::with(|config| {
        config.limits.batch_orders = 3;
        config.limits.body_bytes = 1000;
    })
    .await;
    let fits = r#"{"9":1,"7":2,"8":3,"7":4}"#;
    service.post("", fits).await.took(3);
    for more in [
        r#"{"0":1,"1":2,"2":3,"3":4}"#,
        r#"{"0":1,"1":2,"2":3,"3":4,"x":5}"#,
        r#"{"0":1,"1":2,"2":3,"3":4"#,
    ] {
        service.post("", more).await.refused(413, "batch_too_large");
    }
    let (exceeds, blanks) = (r#"{"0":1}"#, " ".repeat(1000));
    service
        .post("", format!("{exceeds}{blanks}"))
        .await
        .refused(413, "body_too_large");
}

#[tokio::test]
async fn json_that_is_no_array_is_not_an_array() {
    let service = Service::demo().await;
    for body in [
        "{}",
        " {\"id\":\"1\",\"status\":\"new\"} ",
        "null",
        "\"[]\"",
        "1e400",
        "{\"a\":\"\\ud800\",\"a\":1}",
    ] {
        service.post("", body).await.refused(400, "not_an_array");
    }
}

#[tokio::test]
async fn an_element_that_we_cannot_hold_does_not_spoil_the_batch() {
    let service = Service::demo().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let body = format!(r#"["\ud800", 1e400, {deep}, 5, ["a", "a"]]"#);
    service.post("", body).await.took(5);
}

#[tokio::test]
async fn a_bom_is_skipped_and_utf_16_is_read_by_its_bom() {
    let service = Service::demo().await;
    service.post("", "\u{FEFF}[1]").await.took(1);
    let utf_16: Vec<u16> = "\u{FEFF}[\"Кутузова\"]".encode_utf16().collect();
    let little: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    service.post("", &little).await.took(1);
    service
        .post("Content-Type: application/json; charset=utf-8\r\n", &big)
        .await
        .took(1);
    let bad = service.post("", "\u{FEFF}[x]").await;
    bad.refused(400, "malformed_json");
    assert!(bad.message().contains("столбце 2"), "{}", bad.message());
}

#[tokio::test]
async fn the_charset_of_content_type_is_honoured() {
    let service = Service::demo().await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\"]");
    for content_type in [
        "application/json; charset=windows-1251",
        "application/json;charset=\"CP1251\"",
        "text/plain; boundary=x; Charset = Windows-1251",
    ] {
        let header = format!("Content-Type: {content_type}\r\n");
        service.post(&header, &windows_1251).await.took(1);
    }
    // The column is counted in the decoded text.
    let (bad, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\" x]");
    let answer = service
        .post("Content-Type: a/b; charset=windows-1251\r\n", &bad)
        .await;
    answer.refused(400, "malformed_json");
    assert!(
        answer.message().contains("столбце 13"),
        "{}",
        answer.message()
    );
}

#[tokio::test]
async fn utf_8_under_a_single_byte_charsets_name_is_read_as_utf_8() {
    let app = TestApp::start().await;
    for (number, (name, encoding)) in [
        ("iso-8859-1", encoding_rs::WINDOWS_1252),
        ("us-ascii", encoding_rs::WINDOWS_1252),
        ("windows-1251", encoding_rs::WINDOWS_1251),
        ("cp866", encoding_rs::IBM866),
        ("koi8-r", encoding_rs::KOI8_R),
        ("iso-8859-5", encoding_rs::ISO_8859_5),
        ("macintosh", encoding_rs::MACINTOSH),
    ]
    .into_iter()
    .enumerate()
    {
        let order = |kind: &str| {
            let order = order(&format!("{kind} {number}"));
            changed(order, "/comment", "Кутузова, 21")
        };
        let send = async |order: &Value, bytes: Vec<u8>| {
            let content_type = format!("application/json; charset={name}");
            let request = app.request().header("Content-Type", content_type);
            let answer = Answer::of(request.body(bytes)).await;
            let id = order["id"].as_str().unwrap();
            assert_eq!(answer.order(id)["comment"], "Кутузова, 21", "{name}");
            let city = &answer.order(id)["shipping_address"]["city"];
            assert_eq!(city, &order["shipping_address"]["city"], "{name}");
        };
        let meant = order("utf-8");
        let bytes = json!([meant]).to_string().into_bytes();
        send(&meant, bytes).await;
        // What is in that charset is read by its name as before.
        let labelled = order("own");
        let text = json!([labelled]).to_string();
        let (bytes, _, has_unknown) = encoding.encode(&text);
        if !has_unknown {
            send(&labelled, bytes.into_owned()).await;
        }
    }
}

#[tokio::test]
async fn a_charset_ends_at_a_comma_and_may_be_quoted() {
    let service = Service::demo().await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\"]");
    for content_type in [
        "application/json; charset=windows-1251, application/json",
        "application/json, application/json;charset=windows-1251",
        "application/json; charset=\"windows-1251\", text/plain",
        "application/json; charset='windows-1251'; a=b",
        "application/json; charset=, a/b; charset=windows-1251",
        "application/json; charset=klingon, a/b; charset=windows-1251",
        "application/json charset=windows-1251",
        "application/json\r\nContent-Type: a/b; charset=windows-1251",
    ] {
        let header = format!("Content-Type: {content_type}\r\n");
        service.post(&header, &windows_1251).await.took(1);
    }
    let joined = "Content-Type: application/json; charset=utf-8, application/json\r\n";
    service.post(joined, "[\"Кутузова\"]").await.took(1);
}

#[tokio::test]
async fn an_unknown_charset_is_utf_8_if_the_body_is() {
    let service = Service::demo().await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\"]");
    for (charset, named) in [
        ("klingon", "«klingon»"),
        ("utf8mb4", "«utf8mb4»"),
        ("\"utf-8;q=1", ""),
        ("<script>", "«script»"),
        ("utf-7", "«utf-7»"),
    ] {
        let header = format!("Content-Type: a/b; charset={charset}\r\n");
        service.post(&header, "[\"Кутузова\"]").await.took(1);
        let answer = service.post(&header, &windows_1251).await;
        answer.refused(400, "bad_encoding");
        assert!(answer.message().contains(named), "{}", answer.message());
    }
}

#[tokio::test]
async fn a_content_encoding_that_names_no_compression_means_not_compressed() {
    let service = Service::demo().await;
    let gzip = compressed(GzipEncoder::new(Vec::new()), b"[1]").await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\"]");
    for coding in [
        "",
        " ",
        ",",
        "identity",
        "None",
        "binary",
        "8bit",
        "UTF-8",
        "utf8",
        " utf-8 , identity",
        "\"utf-8\"",
        "charset=utf-8",
        "json",
        "base64",
        "chunked",
        "null",
        "utf-9; text",
        "windows-1251",
        "koi8-r",
        "utf-8\r\nContent-Encoding: binary",
    ] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        service.post(&headers, "[\"Кутузова\"]").await.took(1);
        let packed = format!("Content-Encoding: {coding}\r\nContent-Encoding: gzip\r\n");
        service.post(&packed, &gzip).await.took(1);
    }
    // A charset there counts where the body is no UTF-8 and Content-Type names none.
    let coding = "Content-Encoding: windows-1251\r\n";
    service.post(coding, &windows_1251).await.took(1);
    let contradiction = format!("{coding}Content-Type: a/b; charset=utf-8\r\n");
    let answer = service.post(&contradiction, &windows_1251).await;
    answer.refused(400, "bad_encoding");
    for coding in ["compress", "rot13", "x-lzma", "utf-8, rot13", "hz-gb-2312"] {
        let answer = service
            .post(&format!("Content-Encoding: {coding}\r\n"), "[1]")
            .await;
        answer.refused(400, "bad_encoding");
        assert!(answer.message().contains("gzip, deflate, br"), "{coding}");
    }
}

#[tokio::test]
async fn the_media_type_is_not_insisted_on() {
    let service = Service::demo().await;
    for headers in [
        "",
        "Content-Type:\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data\r\n",
        "Content-Type: nonsense\r\n",
        "Content-Type: application/json; charset=\r\n",
        "Content-Type: application/json; charset=UTF8\r\n",
    ] {
        service.post(headers, "[\"Кутузова\"]").await.took(1);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_bad_encoding() {
    let service = Service::demo().await;
    let (windows_1251, _, _) = encoding_rs::WINDOWS_1251.encode("[\"Кутузова\"]");
    let gzip = compressed(GzipEncoder::new(Vec::new()), b"[\"a rather long text\"]").await;
    let mut damaged = gzip.clone();
    damaged[14] ^= 0xFF;
    let mut with_a_tail = compressed(ZlibEncoder::new(Vec::new()), b"[]").await;
    with_a_tail.extend_from_slice(b"tail");
    let cases: [(&str, &[u8]); 14] = [
        ("", &windows_1251),
        ("", b"[\"\xED\xA0\x80\"]"), // a surrogate is no UTF-8
        ("Content-Type: a/b; charset=utf-8\r\n", &windows_1251),
        ("Content-Type: a/b; charset=klingon\r\n", &windows_1251),
        ("Content-Type: a/b; charset=utf-16le\r\n", b"[\0]"),
        ("Content-Encoding: compress\r\n", b"[]"),
        ("Content-Encoding: gzip, gzip\r\n", &gzip),
        ("Content-Encoding: gzip\r\n", b"[]"),
        ("Content-Encoding: deflate\r\n", b"[]"),
        ("Content-Encoding: br\r\n", b"[\"not compressed\"]"),
        ("Content-Encoding: zstd\r\n", b"[]"),
        ("Content-Encoding: gzip\r\n", &gzip[..gzip.len() - 9]),
        ("Content-Encoding: gzip\r\n", &damaged),
        ("Content-Encoding: deflate\r\n", &with_a_tail),
    ];
    for (headers, body) in cases {
        let answer = service.post(headers, body).await;
        answer.refused(400, "bad_encoding");
    }
}

#[tokio::test]
async fn a_compressed_body_cut_short_is_bad_encoding_in_every_coding() {
    let service = Service::demo().await;
    for (coding, bytes) in
        compressed_every_way(b"[\"a text that does not compress to nothing\"]").await
    {
        let half = &bytes[..bytes.len() - 6];
        let answer = service
            .post(&format!("Content-Encoding: {coding}\r\n"), half)
            .await;
        answer.refused(400, "bad_encoding");
    }
}

async fn compressed(mut encoder: impl AsyncWrite + Unpin + IntoBytes, text: &[u8]) -> Vec<u8> {
    encoder.write_all(text).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_bytes()
}

/// What an encoder has written.
trait IntoBytes {
    fn into_bytes(self) -> Vec<u8>;
}

macro_rules! into_bytes {
    ($($encoder:ident),*) => {
        $(impl IntoBytes for $encoder<Vec<u8>> {
            fn into_bytes(self) -> Vec<u8> {
                self.into_inner()
            }
        })*
    };
}
into_bytes!(
    BrotliEncoder,
    DeflateEncoder,
    GzipEncoder,
    ZlibEncoder,
    ZstdEncoder
);

/// The name in `Content-Encoding`, and the bytes.
async fn compressed_every_way(text: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    [
        ("gzip", compressed(GzipEncoder::new(Vec::new()), text).await),
        (
            "deflate",
            compressed(ZlibEncoder::new(Vec::new()), text).await,
        ),
        // PHP's gzdeflate
        (
            "deflate",
            compressed(DeflateEncoder::new(Vec::new()), text).await,
        ),
        ("br", compressed(BrotliEncoder::new(Vec::new()), text).await),
        ("zstd", compressed(ZstdEncoder::new(Vec::new()), text).await),
    ]
}

#[tokio::test]
async fn gzip_deflate_br_and_zstd_bodies_are_accepted() {
    let service = Service::demo().await;
    for text in [
        "[\"Кутузова\"]".to_owned(),
        format!("[{}1]", " ".repeat(300_000)),
    ] {
        for (coding, bytes) in compressed_every_way(text.as_bytes()).await {
            let headers = format!("Content-Encoding: {coding}\r\n");
            service.post(&headers, bytes).await.took(1);
        }
    }
    let gzip = compressed(GzipEncoder::new(Vec::new()), b"[1]").await;
    for coding in ["GZIP", "x-gzip", "identity, gzip"] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        service.post(&headers, &gzip).await.took(1);
    }
    service
        .post("Content-Encoding: identity\r\n", "[1]")
        .await
        .took(1);
    let mut two_members = gzip;
    two_members.extend(compressed(GzipEncoder::new(Vec::new()), b"  ").await);
    service
        .post("Content-Encoding: gzip\r\n", two_members)
        .await
        .took(1);
}

// --- Limits ---

#[tokio::test]
async fn the_size_limit_counts_decompressed_bytes() {
    let service = Service::with(|config| config.limits.body_bytes = 1000).await;
    let fits = format!("[{:997}1]", ' ');
    let exceeds = format!("[{:998}1]", ' ');
    assert_eq!((fits.len(), exceeds.len()), (1000, 1001));
    service.post("", &fits).await.took(1);
    let answer = service.post("", &exceeds).await;
    answer.refused(413, "body_too_large");
    assert_eq!(
        answer.message(),
        "Тело запроса больше допустимого: предел 1000 байт после распаковки."
    );
    for (coding, bytes) in compressed_every_way(fits.as_bytes()).await {
        service
            .post(&format!("Content-Encoding: {coding}\r\n"), bytes)
            .await
            .took(1);
    }
    for (coding, bytes) in compressed_every_way(exceeds.as_bytes()).await {
        assert!(bytes.len() < 1000);
        let answer = service
            .post(&format!("Content-Encoding: {coding}\r\n"), bytes)
            .await;
        answer.refused(413, "body_too_large");
        assert!(answer.message().contains(" 1000 "), "{}", answer.message());
    }
    let chunked = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{exceeds}\r\n0\r\n\r\n"
    );
    service.ask(chunked).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn a_decompression_bomb_is_413_and_does_not_go_off() {
    let service = Service::with(|config| config.limits.body_bytes = 64 * 1024).await;
    let zeros = vec![b' '; 64 * 1024 * 1024];
    for (coding, bomb) in compressed_every_way(&zeros).await {
        assert!(bomb.len() < 128 * 1024, "{coding}: {}", bomb.len());
        let answer = service
            .post(&format!("Content-Encoding: {coding}\r\n"), bomb)
            .await;
        answer.refused(413, "body_too_large");
    }
}

#[tokio::test]
async fn a_zstd_frame_that_wants_a_window_of_128_mib_is_bad_encoding() {
    let service = Service::demo().await;
    let window = [CParameter::window_log(27)];
    let encoder = ZstdEncoder::with_quality_and_params(
        Vec::new(),
        async_compression::Level::Fastest,
        &window,
    );
    let frame = compressed(encoder, b"[1]").await;
    service
        .post("Content-Encoding: zstd\r\n", frame)
        .await
        .refused(400, "bad_encoding");
}

#[tokio::test]
async fn more_orders_than_the_limit_are_batch_too_large() {
    let service = Service::with(|config| config.limits.batch_orders = 3).await;
    service.post("", "[1,2,3]").await.took(3);
    let answer = service.post("Accept-Language: en\r\n", "[1,2,3,4]").await;
    answer.refused(413, "batch_too_large");
    assert_eq!(
        answer.message(),
        "Too many orders in the batch: the limit is 3."
    );
    // What comes behind is not looked at.
    service
        .post("", "[1,2,3,4")
        .await
        .refused(413, "batch_too_large");
    service
        .post("", "[1,2,3,")
        .await
        .refused(400, "malformed_json");
}

#[tokio::test]
async fn a_caller_that_sends_everything_before_it_listens_sees_why_it_was_refused() {
    let service = Service::with(|config| config.limits.body_bytes = 1024 * 1024).await;
    let body = vec![b' '; 12 * 1024 * 1024];
    let announced = post(ORDERS, "", &body);
    let chunked = {
        let mut request = format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request.extend_from_slice(b"\r\n0\r\n\r\n");
        request
    };
    for (request, status, code) in [
        (announced, 413, "body_too_large"),
        (chunked, 413, "body_too_large"),
        (
            post("/nobody/hs/AquaDeliveri/getOrdersURL", "", &body),
            401,
            "unauthorized",
        ),
        (post("/", "", &body), 404, "not_found"),
    ] {
        let mut caller = service.connect().await;
        caller.send(request).await;
        // The answer must outlast the time that a slow sender needs to come round to it.
        sleep(Duration::from_millis(100)).await;
        let answer = caller.answer().await;
        answer.refused(status, code);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(caller.is_hung_up_on().await);
    }
}

#[tokio::test]
async fn credentials_that_come_only_after_a_401_may_come_on_the_same_connection() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    let body = vec![b' '; 512 * 1024];
    caller
        .send(post("/nobody/hs/AquaDeliveri/getOrdersURL", "", &body))
        .await;
    let answer = caller.answer().await;
    answer.refused(401, "unauthorized");
    assert_eq!(answer.header("connection"), None);
    caller
        .send(post(
            ORDERS,
            "Authorization: Basic c2l0ZTpzZWNyZXQ=\r\n",
            "[]",
        ))
        .await;
    caller.answer().await.took(0);
}

// --- Languages and ids ---

#[tokio::test]
async fn messages_are_russian_by_default_and_english_with_accept_language_en() {
    let service = Service::demo().await;
    let (russian, english) = (
        "Ожидается JSON-массив заказов.",
        "A JSON array of orders is expected.",
    );
    for (accept_language, message) in [
        (None, russian),
        (Some("en"), english),
        (Some("EN-gb"), english),
        (Some("ru"), russian),
        (Some("en-US,en;q=0.9,ru;q=0.8"), english),
        (Some("ru,en;q=0.5"), russian),
        (Some("ru;q=0.5, en;q=0.7"), english),
        (Some("de-DE,de;q=0.9,en;q=0.8"), english),
        (Some("de"), russian),
        (Some("*"), russian),
        (Some("en;q=0"), russian),
        (Some("en;q=nonsense"), russian),
        (Some("english"), russian),
    ] {
        let header = accept_language.map(|value| format!("Accept-Language: {value}\r\n"));
        let answer = service.post(&header.unwrap_or_default(), "1").await;
        assert_eq!(answer.message(), message, "{accept_language:?}");
        answer.refused(400, "not_an_array");
    }
}

#[tokio::test]
async fn every_answer_carries_x_request_id_the_callers_if_it_sent_a_sane_one() {
    let service = Service::demo().await;
    let longest = "x".repeat(128);
    for id in ["a", "4bf92f35-77b3/4da6:a3ce.929d_0e0e+47=", &longest] {
        let answer = service.post(&format!("X-Request-Id: {id}\r\n"), "[]").await;
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
    let too_long = "x".repeat(129);
    for id in ["", "two words", "Кутузова", "<script>", "\"", &too_long] {
        let answer = service.post(&format!("X-Request-Id: {id}\r\n"), "[]").await;
        let given = answer.header("x-request-id").expect("an id");
        let version = uuid::Uuid::parse_str(given)
            .expect("a UUID")
            .get_version_num();
        assert_eq!(version, 7, "{id}");
    }
    for request in [
        post(ORDERS, "X-Request-Id: mine\r\n", "{"),
        post("/", "X-Request-Id: mine\r\n", "[]"),
        post(
            "/nobody/hs/AquaDeliveri/getOrdersURL",
            "X-Request-Id: mine\r\n",
            "[]",
        ),
        post(
            ORDERS,
            "X-Request-Id: mine\r\nContent-Encoding: br, br\r\n",
            "[]",
        ),
        format!("GET {ORDERS} HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine\r\n\r\n").into_bytes(),
    ] {
        let answer = service.ask(request).await;
        assert!(answer.status >= 400);
        assert_eq!(answer.header("x-request-id"), Some("mine"));
    }
}

#[tokio::test]
async fn answers_are_json_in_utf_8_and_do_not_say_what_serves_them() {
    let service = Service::demo().await;
    let answer = service.post("", "[]").await;
    assert_eq!(answer.text(), r#"{"success":true,"data":{}}"#);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("server"), None);
}

#[tokio::test]
async fn answers_are_compressed_when_the_caller_asks() {
    use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};

    let service = Service::demo().await;
    let batch = format!("[{}1]", "1,".repeat(99));
    let plain = service.post("", &batch).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.body.len() > 2000);
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let answer = service
            .post(&format!("Accept-Encoding: {coding}\r\n"), &batch)
            .await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert!(answer.body.len() < plain.body.len() / 2);
        let (packed, mut text) = (answer.body.as_slice(), Vec::new());
        match coding {
            "gzip" => GzipDecoder::new(packed).read_to_end(&mut text).await,
            "deflate" => ZlibDecoder::new(packed).read_to_end(&mut text).await,
            "br" => BrotliDecoder::new(packed).read_to_end(&mut text).await,
            _ => ZstdDecoder::new(packed).read_to_end(&mut text).await,
        }
        .unwrap();
        assert_eq!(text, plain.body, "{coding}");
    }
    let tiny = service.post("Accept-Encoding: gzip\r\n", "[]").await;
    assert_eq!(tiny.header("content-encoding"), None);
}

#[tokio::test]
async fn no_accept_encoding_changes_a_status_and_where_nothing_is_acceptable_the_answer_is_plain() {
    let service = Service::demo().await;
    let batch = format!("[{}1]", "1,".repeat(99));
    let plain = service.post("", &batch).await;
    for (accepted, coding) in [
        ("identity;q=0", None),
        ("identity; Q=0.000", None),
        ("*;q=0", None),
        ("compress, *;q=0", None),
        ("identity;q=0, *;q=0", None),
        ("gzip;q=0, br;q=0, deflate;q=0, zstd;q=0, *;q=0", None),
        ("identity;q=0\r\nAccept-Encoding: *;q=0", None),
        ("gzip, *;q=0", Some("gzip")),
        ("identity;q=0, br", Some("br")),
        ("identity;q=0, *;q=0.1, zstd;q=0.5", Some("zstd")),
    ] {
        let headers = format!("Accept-Encoding: {accepted}\r\n");
        let answer = service.post(&headers, &batch).await;
        assert_eq!(answer.status, 200, "{accepted}");
        assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
        assert_eq!(answer.body == plain.body, coding.is_none(), "{accepted}");

        service
            .post(&headers, "{")
            .await
            .refused(400, "malformed_json");
        let answer = service.ask(post("/nobody/hs/AquaDeliveri/getOrdersURL", &headers, "[]"));
        let answer = answer.await;
        answer.refused(401, "unauthorized");
        assert!(answer.header("www-authenticate").is_some(), "{accepted}");
        let unknown = service.ask(post("/", &headers, "[]")).await;
        unknown.refused(404, "not_found");
        let get = format!("GET {ORDERS} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        let answer = service.ask(get).await;
        answer.refused(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"), "{accepted}");
        let large = format!("[{}1]", "1,".repeat(5000));
        let answer = service.post(&headers, large).await;
        answer.refused(413, "batch_too_large");
    }
}

// --- Senders' habits ---

#[tokio::test]
async fn http_1_0_works_with_and_without_keep_alive() {
    let service = Service::demo().await;
    let old = |headers: &str, body: &str| {
        let length = body.len();
        format!("POST {ORDERS} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    let mut caller = service.connect().await;
    caller.send(old("", "[1]")).await;
    let answer = caller.answer().await;
    answer.took(1);
    assert!(
        answer.status_line.starts_with("HTTP/1.0 200"),
        "{}",
        answer.status_line
    );
    assert!(caller.is_hung_up_on().await);

    let mut caller = service.connect().await;
    for _ in 0..2 {
        caller.send(old("Connection: keep-alive\r\n", "[1]")).await;
        let answer = caller.answer().await;
        answer.took(1);
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }

    // HTTP/1.0 knows no chunks, so a compressed answer ends with the connection.
    let batch = format!("[{}1]", "1,".repeat(99));
    let answer = service.ask(old("Accept-Encoding: gzip\r\n", &batch)).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.body[..2], [0x1F, 0x8B]);
}

#[tokio::test]
async fn a_connection_is_kept_unless_the_caller_says_close() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    for body in ["[]", "{", "{}", "[1,2]"] {
        caller.send(post(ORDERS, "", body)).await;
        caller.answer().await;
    }
    caller
        .send(post(ORDERS, "Connection: close\r\n", "[]"))
        .await;
    caller.answer().await.took(0);
    assert!(caller.is_hung_up_on().await);
}

#[tokio::test]
async fn two_requests_sent_at_once_are_answered_one_after_the_other() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    let mut both = post(ORDERS, "X-Request-Id: first\r\n", "[1]");
    both.extend(post(ORDERS, "X-Request-Id: second\r\n", "[1,2]"));
    caller.send(both).await;
    for (id, elements) in [("first", 1), ("second", 2)] {
        let answer = caller.answer().await;
        answer.took(elements);
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
}

#[tokio::test]
async fn chunked_bodies_work() {
    let service = Service::demo().await;
    let head =
        format!("POST {ORDERS} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut caller = service.connect().await;
    caller.send(&head).await;
    for piece in [
        "1\r\n[\r\n",
        "3;name=value\r\n1,2\r\n",
        "1\r\n]\r\n",
        "0\r\nTrailer: yes\r\n\r\n",
    ] {
        caller.send(piece).await;
        sleep(Duration::from_millis(5)).await;
    }
    caller.answer().await.took(2);
    let broken = service.ask(format!("{head}2\r\n[]\r\nnonsense\r\n")).await;
    broken.refused(400, "malformed_json");
}

#[tokio::test]
async fn expect_100_continue_is_answered_when_the_body_is_wanted() {
    let service = Service::demo().await;
    for expect in ["Expect: 100-continue\r\n", "expect: 100-Continue\r\n"] {
        let mut caller = service.connect().await;
        // 1C sends it with every POST, and waits.
        let request = post(ORDERS, expect, "[1]");
        let (head, body) = request.split_at(request.len() - 3);
        caller.send(head).await;
        let interim = caller.answer().await;
        assert_eq!(interim.status_line, "HTTP/1.1 100 Continue");
        caller.send(body).await;
        caller.answer().await.took(1);
        caller.send(post(ORDERS, "", "[1,2]")).await;
        caller.answer().await.took(2);
    }
}

#[tokio::test]
async fn expect_100_continue_gets_the_final_answer_when_the_body_is_not_wanted() {
    let service = Service::with(|config| config.limits.body_bytes = 100).await;
    let head = |line: &str, headers: &str, length: usize| {
        format!(
            "{line} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n{headers}Content-Length: {length}\r\n\r\n"
        )
    };
    let orders = format!("POST {ORDERS}");
    for (request, status, code) in [
        (
            head("POST /nobody/hs/AquaDeliveri/getOrdersURL", "", 10),
            401,
            "unauthorized",
        ),
        (head("POST /", "", 10), 404, "not_found"),
        (
            head(&format!("PUT {ORDERS}"), "", 10),
            405,
            "method_not_allowed",
        ),
        (head(&orders, "", 101), 413, "body_too_large"),
        (
            head(&orders, "Content-Encoding: rot13\r\n", 10),
            400,
            "bad_encoding",
        ),
    ] {
        let mut caller = service.connect().await;
        caller.send(request).await;
        let answer = caller.answer().await;
        answer.refused(status, code);
        assert_eq!(answer.header("connection"), Some("close"), "{code}");
        assert!(caller.is_hung_up_on().await);
    }
    // A caller that does not wait for an answer to its question.
    let answer = service
        .ask(post(ORDERS, "Expect: 100-continue\r\n", "[1]"))
        .await;
    assert!(answer.status == 100 || answer.status == 200);
}

#[tokio::test]
async fn an_offer_to_upgrade_to_h2c_is_ignored() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    for elements in [1, 2] {
        let body = if elements == 1 { "[1]" } else { "[1,2]" };
        caller.send(post(ORDERS, offer, body)).await;
        let answer = caller.answer().await;
        answer.took(elements);
        assert_eq!(answer.header("upgrade"), None);
    }
}

#[tokio::test]
async fn a_caller_that_closes_its_sending_side_still_gets_its_answer() {
    let service = Service::demo().await;
    let mut caller = service.connect().await;
    caller.send(post(ORDERS, "", "[1]")).await;
    caller.0.shutdown().await.unwrap();
    caller.answer().await.took(1);
    assert!(caller.is_hung_up_on().await);

    let mut caller = service.connect().await;
    let whole = post(ORDERS, "", "[1,2,3]");
    caller.send(&whole[..whole.len() - 2]).await;
    caller.0.shutdown().await.unwrap();
    let answer = caller.answer().await;
    answer.refused(400, "malformed_json");
    assert_eq!(answer.message(), "Тело запроса пришло не целиком.");
}

#[tokio::test]
async fn slow_headers_are_cut_off_and_hold_up_nobody() {
    let service = Service::with(|config| config.times.headers = Duration::from_secs(1)).await;
    let mut slow = service.connect().await;
    slow.send(format!("POST {ORDERS} HTTP/1.1\r\nHost: te"))
        .await;
    service.post("", "[]").await.took(0);
    assert!(slow.is_hung_up_on().await);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    let service = Service::with(|config| config.times.body = Duration::from_millis(300)).await;
    let mut slow = service.connect().await;
    let whole = post(ORDERS, "", "[1,2,3]");
    slow.send(&whole[..whole.len() - 2]).await;
    let answer = slow.answer().await;
    answer.refused(408, "request_timeout");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(slow.is_hung_up_on().await);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_service_lives_on() {
    let service = Service::demo().await;
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
    ] {
        let mut caller = service.connect().await;
        caller.send(nonsense).await;
        caller.0.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, caller.0.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    service.post("", "[]").await.took(0);
}

#[tokio::test]
async fn a_lack_of_sockets_is_survived() {
    let database = database().await;
    // In a process of its own: the limit would starve the other tests, and PostgreSQL.
    let starved = tokio::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -n 48 && exec \"$0\" --ignored --exact http::starved_of_sockets",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("AQUA_TEST_DATABASE", database.url())
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&starved.stdout);
    assert!(starved.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

#[tokio::test]
#[ignore = "the process that a_lack_of_sockets_is_survived starts with few sockets; by itself it does nothing"]
async fn starved_of_sockets() {
    let Ok(url) = std::env::var("AQUA_TEST_DATABASE") else {
        return;
    };
    let mut settings = demo_config().database;
    settings.url = Some(config::Secret::new(url));
    let service = Service::on(settings, |_| ()).await;
    let mut callers = Vec::new();
    // Without a pause in which the service could accept: it finds all of them waiting and no socket left.
    while let Ok(caller) = std::net::TcpStream::connect(service.address) {
        callers.push(caller);
        assert!(callers.len() < 48, "the limit holds");
    }
    sleep(Duration::from_millis(100)).await;
    assert!(!service.served.is_finished());
    drop(callers);
    service.post("", "[1]").await.took(1);
}

// --- The end ---

#[tokio::test]
async fn a_stop_finishes_what_it_took_and_takes_nothing_more() {
    let service = Service::demo().await;
    let mut idle = service.connect().await;
    idle.send(post(ORDERS, "", "[]")).await;
    idle.answer().await.took(0);
    let mut running = service.connect().await;
    let whole = post(ORDERS, "", "[1,2,3]");
    running.send(&whole[..whole.len() - 2]).await;
    assert!(running.hears_nothing_for(Duration::from_millis(100)).await);

    service.stop.send(()).unwrap();
    assert!(idle.is_hung_up_on().await);
    assert!(TcpStream::connect(service.address).await.is_err());
    running.send(&whole[whole.len() - 2..]).await;
    let answer = running.answer().await;
    answer.took(3);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(running.is_hung_up_on().await);
    let cut_off = timeout(PATIENCE, service.served).await.unwrap().unwrap();
    assert_eq!(cut_off, 0);
}

#[tokio::test]
async fn a_stop_waits_only_as_long_as_it_is_told() {
    let service = Service::with(|config| config.times.stop = Duration::from_millis(300)).await;
    let mut running = service.connect().await;
    let whole = post(ORDERS, "", "[1,2,3]");
    running.send(&whole[..whole.len() - 2]).await;
    assert!(running.hears_nothing_for(Duration::from_millis(100)).await);
    let started = Instant::now();
    service.stop.send(()).unwrap();
    let cut_off = timeout(PATIENCE, service.served).await.unwrap().unwrap();
    assert_eq!(cut_off, 1);
    assert!(started.elapsed() >= Duration::from_millis(300), "it waits");
}

// --- The log ---

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_has_one_log_line_that_says_nothing_of_its_content() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    // While there is one subscriber only, tracing asks nobody but the thread that comes first to a log line, for ever:
    // it may be another test's.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    // This test's runtime has one thread, and the service is on it.
    let _guard = tracing::subscriber::set_default(subscriber);
    let service = Service::demo().await;
    let headers = "X-Request-Id: mine\r\nAuthorization: Basic c2l0ZTpzZWNyZXQ=\r\n";
    service
        .post(headers, "[\"Kutuzova\", \"+79191991919\"]")
        .await
        .took(2);
    service
        .post("X-Request-Id: other\r\n", "[\"Kutuzova\" \"oops\"]")
        .await;

    let written = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let written = String::from_utf8(written).unwrap();
    for secret in ["Kutuzova", "79191991919", "c2l0ZTpzZWNyZXQ", "secret"] {
        assert!(!written.contains(secret), "{written}");
    }
    let lines: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["fields"]["message"] == "answered")
        .collect();
    let [taken, refused] = lines.as_slice() else {
        panic!("two lines: {written}");
    };
    let fields = &taken["fields"];
    assert_eq!(fields["request_id"], "mine");
    assert_eq!(fields["publication"], "demodelivery");
    assert_eq!(fields["orders"], 2);
    assert_eq!(fields["accepted"], 0);
    assert_eq!(fields["rejected"], 2);
    assert_eq!(fields["bytes"], 28);
    assert_eq!(fields["status"], 200);
    assert!(fields["ms"].is_u64());
    let fields = &refused["fields"];
    assert_eq!(fields["request_id"], "other");
    assert_eq!(fields["publication"], "demodelivery");
    assert_eq!(fields["status"], 400);
    assert_eq!(fields["code"], "malformed_json");
}
