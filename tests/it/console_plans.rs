//! No page of the console walks through a table: each reads about as many rows of an index as it shows, however many there are.

use crate::support::{
    app::TestApp,
    config::target as target_of,
    console::{Browser, operators},
};

const ORDERS: &str = "/console/p/demodelivery/orders";
/// Stored orders: many times what a page may read.
const STORED: i64 = 30_000;
/// What a page may read of an index. It shows 50 orders; a search looks at 200 clients, a list of kept orders at 500 of them, one of
/// products at 200 with ten lines each, and the numbers beside them at 300 of each.
const MOST_READ: i64 = 3_500;

/// What the overview may count: the orders and calls of a month, of two hundred days of orders and more than a year of calls.
const MOST_COUNTED: i64 = 5_000;

/// What a page may read of the index by status, in blocks: PostgreSQL does not count entries that it passes over.
const MOST_BLOCKS: i64 = 80;

/// Orders of many clients, most of them finished long ago; one of a hundred is not taken, one of twenty has a line without a product, one
/// of three hundred has remarks, one of three was rejected when it came again, and one of fifty is refused by 1C.
async fn fill(app: &TestApp) {
    app.run(format!(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 1, 'Вода');
         INSERT INTO client (publication, number, sender_id, username, phone, phones)
         SELECT 'demodelivery', n, 'client ' || n, 'Клиент ' || n, '+7908' || lpad((n * 7919 % 10000000)::text, 7, '0'),
                ARRAY['+7911' || lpad((n * 104729 % 10000000)::text, 7, '0')]
         FROM generate_series(1, {STORED} / 3) n;
         INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, created_at, total,
                             shipping_date_from, shipping_date_to, shipping_address, made_by)
         SELECT 'demodelivery', n, gen_random_uuid(), 'order ' || n,
                CASE WHEN n % 500 = 0 THEN 'removed' WHEN n > {STORED} - 40 THEN 'new' ELSE 'completed' END,
                1 + n % ({STORED} / 3), now() - ({STORED} - n) * interval '10 minutes', 710, now(), now(),
                '{{\"city\": \"С\", \"street\": \"К\", \"house\": \"1\", \"str\": \"К 1\"}}',
                CASE WHEN n > {STORED} - 4000
                     THEN ('f' || lpad(to_hex(1 + ({STORED} - n) / 180), 7, '0') || '-0000-7000-8000-000000000000')::uuid END
         FROM generate_series(1, {STORED}) n;
         INSERT INTO order_item (publication, order_number, position, product_id, product_number, price, quantity)
         SELECT 'demodelivery', n, 0, CASE WHEN n % 20 = 0 THEN 'set ' || n / 20 % 300 ELSE 'water' END,
                CASE WHEN n % 20 <> 0 THEN 1 END, 355, 2
         FROM generate_series(1, {STORED}) n;
         INSERT INTO order_receiver (publication, order_number, version, number, error, said_at)
         SELECT 'demodelivery', n, 1, 'N' || n, CASE WHEN n % 100 = 0 THEN 'no' END, now() FROM generate_series(1, {STORED}) n;
         INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders, accepted,
                                    rejected, updated_rows, changed_rows)
         SELECT 'demodelivery', (CASE WHEN n <= 500 THEN 'f' ELSE '0' END || lpad(to_hex(n), 7, '0') || '-0000-7000-8000-000000000000')::uuid, now() - n * interval '1 hour', now(), now(), n::text, 1, 1, 0, 0, 0
         FROM generate_series(1, {STORED} / 3) n;
         INSERT INTO journal_rejected (publication, batch, position, order_key, body, faults, warnings, order_version, client_version)
         SELECT 'demodelivery', (CASE WHEN n <= 500 THEN 'f' ELSE '0' END || lpad(to_hex(n), 7, '0') || '-0000-7000-8000-000000000000')::uuid, 0, 'order ' || n * 3, '{{}}', '[{{\"field\": \"total\", \"code\": \"required\"}}]',
                CASE WHEN n % 100 = 0 THEN '[]'::jsonb END, 1, 1
         FROM generate_series(1, {STORED} / 3) n;
         INSERT INTO target (publication, name, paused) VALUES ('demodelivery', '1c', true)
         ON CONFLICT (publication, name) DO UPDATE SET paused = true;
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, error)
         SELECT 'demodelivery', '1c', n, 1, 7, 'no' FROM generate_series(1, {STORED}, 50) n;
         INSERT INTO target_attempt (publication, target, attempt, began_at, milliseconds, orders, taken, refused)
         SELECT 'demodelivery', '1c', gen_random_uuid(), now(), 1, 1, 0, 1 FROM generate_series(1, {STORED} / 10) n;
         INSERT INTO operator_action (publication, action, login, kind, order_number)
         SELECT 'demodelivery', gen_random_uuid(), 'Анна', 'resend', n FROM generate_series(1, {STORED}) n;
         ANALYZE"
    ))
    .await;
}

/// What was read so far.
struct ReadSoFar {
    /// Rows of tables, without an index.
    walked: i64,
    /// Entries of each index.
    entries: Vec<(String, i64)>,
    /// Blocks of the one by status.
    blocks: i64,
}

async fn read_so_far(app: &TestApp) -> ReadSoFar {
    // A session tells what it read when it ends.
    app.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE application_name = 'aqua-orders' AND datname = current_database()",
    )
    .await;
    let walked = app
        .value("SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables")
        .await;
    let indexes: Vec<String> = app
        .values("SELECT indexrelname::text FROM pg_stat_user_indexes ORDER BY 1")
        .await;
    let read: Vec<i64> = app
        .values("SELECT idx_tup_read FROM pg_stat_user_indexes ORDER BY indexrelname::text")
        .await;
    let blocks = app
        .value("SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'orders_status'")
        .await;
    ReadSoFar {
        walked,
        entries: indexes.into_iter().zip(read).collect(),
        blocks,
    }
}

#[tokio::test]
async fn no_page_walks_through_a_table_or_an_index() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    fill(&app).await;
    let mut browser = Browser::of(&app, "boss").await;
    let pages = [
        String::new(),
        "?status=new".into(),
        "?status=approved".into(),
        "?status=removed".into(),
        "?status=completed&from=2026-01-01&to=2026-12-31".into(),
        "?from=2001-01-01&to=2001-12-31".into(),
        "?not_taken=1".into(),
        "?unmatched=1".into(),
        "?remarks=1".into(),
        "?withheld=1".into(),
        "?not_taken=1&unmatched=1&status=completed".into(),
        format!("/{}", STORED / 2),
    ];
    let searches = [
        "0832",
        "79083280832",
        "15000",
        "order 15000",
        "N15000",
        "клиент 15",
        "никто",
        "req-00015000",
        "01935a5e-8a00-7000-8000-000000000000",
    ];
    // The first page of each kind prepares what it needs.
    browser.get(ORDERS).await;
    let mut read = read_so_far(&app).await;
    for page in &pages {
        let seen = browser.get(&format!("{ORDERS}{page}")).await;
        assert_eq!(seen.status, 200, "{page}");
        check(&app, page, &mut read).await;
    }
    for typed in searches {
        let seen = browser.post(ORDERS, &[("q", typed)]).await;
        assert!(
            seen.status == 200 || seen.status == 303,
            "{typed}: {}",
            seen.status
        );
        check(&app, typed, &mut read).await;
        if seen.location().ends_with("/found") {
            browser.get(seen.location()).await;
            check(&app, typed, &mut read).await;
        }
    }
    // The overview counts what came in in thirty days, and leaves alone what is older.
    let overview = browser.get("/console/p/demodelivery/overview").await;
    assert_eq!(overview.status, 200);
    check_up_to(MOST_COUNTED, &app, "overview", &mut read).await;
    for query in ["", "?login=boss", "?from=2026-01-01&to=2026-12-31"] {
        let actions = browser
            .get(&format!("/console/p/demodelivery/actions{query}"))
            .await;
        assert_eq!(actions.status, 200);
        check(&app, &format!("actions{query}"), &mut read).await;
    }
    for format in ["csv", "xlsx"] {
        let form = [("format", format), ("status", "new")];
        let file = browser.post(&format!("{ORDERS}/export"), &form).await;
        assert_eq!(file.status, 200, "{format}");
        check(&app, format, &mut read).await;
    }
    app.run("INSERT INTO product_sender_id VALUES ('demodelivery', 'set 299', 1)")
        .await;
    let list = browser.get("/console/p/demodelivery/rejected").await;
    let part = |before: &str| {
        let (_, rest) = list.text.split_once(before).expect(before);
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let (newest, further) = (part("/console/p/demodelivery/kept/"), part("?after="));
    read = read_so_far(&app).await;
    for page in [
        "rejected".to_owned(),
        "rejected?code=required&field=total".to_owned(),
        "rejected?code=conflict".to_owned(),
        format!("rejected?after={further}"),
        "remarks".to_owned(),
        format!("kept/{newest}"),
        "unmatched".to_owned(),
        "unmatched?after=set%20150".to_owned(),
        "unmatched/product?id=set%20298".to_owned(),
        "refused".to_owned(),
        format!("refused?target=1c&below={}", STORED / 2),
    ] {
        let path = format!("/console/p/demodelivery/{page}");
        let seen = browser.get(&path).await;
        assert_eq!(seen.status, 200, "{page}");
        check(&app, &page, &mut read).await;
    }
    // What is done there, too: a kept order is sent and settled, a product is matched, lines are filled, a refused order is sent again.
    read = read_so_far(&app).await;
    for (action, form) in [
        (
            format!("kept/{newest}/send"),
            vec![("order", r#"{"id": "order 30001"}"#), ("action", "send")],
        ),
        (format!("kept/{newest}/settle"), vec![]),
        (
            "unmatched/match".to_owned(),
            vec![("id", "set 297"), ("product", "1")],
        ),
        (
            "unmatched/fill".to_owned(),
            vec![("id", "set 299"), ("product", "1")],
        ),
        (
            "unmatched/leave_empty".to_owned(),
            vec![("id", "set 1"), ("leave", "1")],
        ),
        (
            "refused/resend".to_owned(),
            vec![("target", "1c"), ("which", "1")],
        ),
        (
            "refused/withhold".to_owned(),
            vec![("target", "1c"), ("order", "51")],
        ),
        (
            "actions/export".to_owned(),
            vec![
                ("format", "csv"),
                ("from", "2026-01-01"),
                ("to", "2026-01-02"),
            ],
        ),
    ] {
        let path = format!("/console/p/demodelivery/{action}");
        let seen = browser.post(&path, &form).await;
        let due = if action.ends_with("export") { 200 } else { 303 };
        assert_eq!(seen.status, due, "{action}: {}", seen.text);
        check(&app, &action, &mut read).await;
    }
    let taken_back = "/console/p/demodelivery/unmatched/product?id=set%20297&back=1";
    let seen = browser.get(taken_back).await;
    assert!(seen.shows("Отменить и очистить строки"), "{}", seen.text);
    check(&app, "a match to be taken back", &mut read).await;
    // Which lines have the product no index tells: orders are walked through, each once.
    let path = "/console/p/demodelivery/unmatched/take_back";
    let form = [("id", "set 297"), ("product", "1")];
    let seen = browser.post(path, &form).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    check_up_to(STORED + MOST_READ, &app, "taking back", &mut read).await;
    // As many as there is time for, and the list is looked up for each twenty. Each order that is taken has its targets look at what
    // they have refused: that is not the console's.
    app.run("TRUNCATE target_delivery").await;
    read = read_so_far(&app).await;
    let all = "/console/p/demodelivery/rejected/send";
    let seen = browser.post(all, &[]).await;
    assert_eq!(seen.status, 303, "send all: {}", seen.text);
    let (_, sent) = seen.location().split_once("sent=").expect("sent");
    let sent: i64 = sent.split('&').next().unwrap().parse().unwrap();
    assert!(sent > 0, "{}", seen.location());
    check_up_to(MOST_READ * (1 + sent / 20), &app, "send all", &mut read).await;
    let clients = "/console/p/demodelivery/clients";
    for typed in ["+79080000832", "client 77", "77", "0832", "клиент 7"] {
        let seen = browser.post(clients, &[("q", typed)]).await;
        assert!(
            seen.status == 200 || seen.status == 303,
            "{typed}: {}",
            seen.status
        );
        check(&app, typed, &mut read).await;
    }
    let client = browser.get(&format!("{clients}/77")).await;
    assert_eq!(client.status, 200);
    check(&app, "a client", &mut read).await;
    let asked = browser.get(&format!("{clients}/77/erase")).await;
    assert_eq!(asked.status, 200);
    check(&app, "whether to erase a client", &mut read).await;
    app.run("UPDATE client SET username = '', phone = NULL, phones = '{}' WHERE number = 77")
        .await;
    read = read_so_far(&app).await;
    let erased = browser.get(&format!("{clients}/77")).await;
    assert_eq!(erased.status, 200);
    check(&app, "an erased client", &mut read).await;
}

async fn check(app: &TestApp, what: &str, before: &mut ReadSoFar) {
    check_up_to(MOST_READ, app, what, before).await;
}

async fn check_up_to(most: i64, app: &TestApp, what: &str, before: &mut ReadSoFar) {
    let now = read_so_far(app).await;
    // A few rows of small tables (targets) may be read as a whole.
    assert!(
        now.walked - before.walked < 100,
        "{what} walks through a table"
    );
    for ((index, now), (_, before)) in now.entries.iter().zip(&before.entries) {
        let entries = now - before;
        assert!(entries < most, "{what} reads {entries} entries of {index}");
    }
    let blocks = now.blocks - before.blocks;
    assert!(
        blocks < MOST_BLOCKS,
        "{what} reads {blocks} blocks of the index by status"
    );
    *before = now;
}
