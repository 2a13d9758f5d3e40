//! The program as its operator meets it: commands, exit codes, last lines, signals.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::ConnectOptions;

use crate::support::{
    app::{ORDERS, example_request},
    config,
    postgres::{QUICK, Server, TestDatabase, database},
    process::Scratch,
    proxy::{Proxy, Rule},
    serving::{self, Serving},
};

/// The program in a folder of its own, with a settings file and nothing of our environment that it would heed.
struct Operator {
    scratch: Scratch,
}

impl Operator {
    fn new(settings: &str) -> Self {
        let scratch = Scratch::new();
        fs::write(scratch.join("aqua.toml"), settings).unwrap();
        Self { scratch }
    }

    fn with_anonymous_publication() -> Self {
        // The tests' own server is quick because it forgets.
        Self::new(&format!(
            "[database]\nmay_lose_orders = true\n{PUBLICATION}"
        ))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = serving::command(&self.scratch);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }
}

const PUBLICATION: &str = "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";

/// A command that ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            code: status.code(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// What an operator reads who looks at the end of the log.
    fn last_line(&self) -> &str {
        self.err.trim_end().lines().last().unwrap_or_default()
    }
}

fn with_database(command: &mut Command, database: &TestDatabase) {
    command.env("DATABASE_URL", database.url());
}

#[tokio::test]
async fn serve_without_a_database_makes_a_private_one_and_a_second_start_finds_its_data_again() {
    let operator = Operator::with_anonymous_publication();
    let mut serving = Serving::start(&mut operator.command(&[]));
    let first = serving.post_example().await;

    // Beside it: a second service says so and stops, and the other commands use the running one's database.
    let second = operator.run(&["serve"]);
    assert_eq!(second.code, Some(1));
    assert!(
        second.last_line().contains("in use by another aqua-orders"),
        "{}",
        second.err
    );
    let checked = operator.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.out.contains("schema: current"), "{}", checked.out);

    serving.signal(Signal::SIGTERM);
    serving.hear("every request answered");
    assert_eq!(serving.end().0, Some(0));

    let serving = Serving::start(&mut operator.command(&[]));
    assert_eq!(serving.post_example().await, first);
    // No time to say goodbye: what was answered is there all the same.
    serving.signal(Signal::SIGKILL);
    serving.end();
    let serving = Serving::start(&mut operator.command(&[]));
    assert_eq!(serving.post_example().await, first);
    serving.signal(Signal::SIGINT);
    assert_eq!(serving.end().0, Some(0));
}

#[tokio::test]
async fn database_url_and_aqua_listen_override_the_settings_file() {
    let database = database().await;
    let operator = Operator::new(
        "listen = \"127.0.0.1:1\"\n[database]\nurl = \"postgres://nobody@127.0.0.1:1/nothing\"\nmay_lose_orders = true\n\
         [[publication]]\nname = \"demodelivery\"\nanonymous = true\n",
    );
    let mut command = operator.command(&[]);
    with_database(&mut command, &database);
    let serving = Serving::start(&mut command);
    serving.post_example().await;
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().0, Some(0));
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_unless_the_settings_say_so_in_words() {
    let database = database().await;
    let operator = Operator::new(PUBLICATION);
    for command in ["serve", "check"] {
        let mut command = operator.command(&[command]);
        with_database(&mut command, &database);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        for said in [
            "fsync, synchronous_commit, full_page_writes = off",
            "may be lost in a power cut",
            "ALTER SYSTEM SET fsync = on",
            "`may_lose_orders = true`",
        ] {
            assert!(ran.err.contains(said), "{said} in {}", ran.err);
        }
    }
    let operator = Operator::with_anonymous_publication();
    let mut command = operator.command(&[]);
    with_database(&mut command, &database);
    let serving = Serving::start(&mut command);
    serving.post_example().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_drops_the_sessions_settings_is_refused_with_what_the_role_must_have() {
    let database = database().await;
    let (line, folder) = Proxy::before_postgres(database.folder());
    let operator = Operator::with_anonymous_publication();
    let serve = || {
        let mut command = operator.command(&["serve"]);
        command.env("DATABASE_URL", database.url_by_way_of(folder.path()));
        command
    };
    line.set(Rule::DropOptions);
    let ran = Ran::of(&mut serve());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for said in [
        "the pooler before the database drops",
        "SET statement_timeout = '10000';",
        "SET plan_cache_mode = 'force_generic_plan';",
    ] {
        assert!(ran.err.contains(said), "{said} in {}", ran.err);
    }
    // What it says is what helps.
    for mend in ran.err.lines().filter(|line| line.contains("ALTER ROLE")) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(mend.to_owned()))
            .execute(&database.pool())
            .await
            .unwrap();
    }
    let mut command = operator.command(&[]);
    command.env("DATABASE_URL", database.url_by_way_of(folder.path()));
    Serving::start(&mut command).post_example().await;
}

#[tokio::test]
async fn any_number_of_instances_may_start_at_once() {
    let database = crate::support::postgres::Server::start(&crate::support::postgres::QUICK).await;
    let empty = "postgres";
    let url = format!(
        "postgres://postgres@localhost:5432/{empty}?host={}",
        database.folder().display()
    );
    let operator = Operator::with_anonymous_publication();
    let instances: Vec<Serving> = thread::scope(|scope| {
        let starting: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut command = operator.command(&[]);
                    command.env("DATABASE_URL", &url);
                    Serving::start(&mut command)
                })
            })
            .collect();
        starting
            .into_iter()
            .map(|instance| instance.join().unwrap())
            .collect()
    });
    let mut answers = Vec::new();
    for instance in &instances {
        answers.push(instance.post_example().await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn the_schema_of_the_settings_takes_every_settings_file_of_ours() {
    let ran = Operator::new("").run(&["settings-schema"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut settings = vec![("the tests' own", config::SETTINGS.to_owned())];
    for file in [
        "config/default.toml",
        "config/demo.toml",
        "config/compose.toml",
        "deploy/kubernetes/aqua-orders.toml",
    ] {
        settings.push((file, fs::read_to_string(root.join(file)).unwrap()));
    }
    for (whose, text) in settings {
        let value: toml::Value = toml::from_str(&text).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{whose}: {errors:?}");
    }
}

#[test]
fn settings_that_are_wrong_are_refused_with_file_line_and_what_to_write_instead() {
    let operator = Operator::new(
        "[[publication]]\nname = \"a\"\ntimezone = \"Europe/Moskow\"\nanonymous = true\n",
    );
    for command in ["serve", "check", "doctor"] {
        let ran = operator.run(&[command]);
        assert_eq!(ran.code, Some(1), "{command}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            said.contains("aqua.toml:3: `timezone`") && said.contains("\"Europe/Moscow\""),
            "{command}: {said}"
        );
    }
    let missing = operator.run(&["--config", "nowhere.toml", "serve"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.last_line().contains("nowhere.toml"),
        "{}",
        missing.err
    );
}

#[test]
fn an_address_that_is_taken_is_said_in_the_last_line() {
    let operator = Operator::with_anonymous_publication();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ran = Ran::of(
        operator
            .command(&["serve"])
            .env("AQUA_LISTEN", address.to_string())
            .env("AQUA_OPERATOR_LISTEN", "off"),
    );
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.last_line()
            .contains(&format!("cannot listen on {address}")),
        "{}",
        ran.err
    );
    // Nothing was made before it was known that nothing would come of it.
    assert!(!operator.scratch.join("data").exists());
}

#[test]
fn a_database_that_does_not_answer_is_said_in_the_last_line_without_its_password() {
    let operator = Operator::new(
        "[database]\nstart_timeout = 1\n[[publication]]\nname = \"a\"\nanonymous = true\n",
    );
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for command in ["serve", "check", "doctor"] {
        let ran = Ran::of(operator.command(&[command]).env(
            "DATABASE_URL",
            format!("postgres://somebody:geheim-42@{closed}/orders"),
        ));
        assert_eq!(ran.code, Some(1), "{command}: {}", ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("did not answer within"), "{command}: {said}");
        assert!(!said.contains("geheim-42"), "{command}: {said}");
    }
}

#[test]
fn wrong_use_is_exit_code_2_and_help_is_everywhere() {
    let operator = Operator::with_anonymous_publication();
    for wrong in [
        &[][..],
        &["dance"],
        &["serve", "--loudly"],
        &["load", "--batch", "0"],
        &["load", "--batch", "many"],
    ] {
        assert_eq!(operator.run(wrong).code, Some(2), "{wrong:?}");
    }
    let help = operator.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    let commands: Vec<&str> = help
        .out
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        // A text that is wrapped goes on further in.
        .filter(|line| !line.starts_with("    "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for command in ["serve", "check", "hash-password", "doctor", "load"] {
        assert!(commands.contains(&command), "{command} in {commands:?}");
    }
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = operator.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.out.contains("Usage:"), "{command}: {}", help.out);
    }
}

#[tokio::test]
async fn doctor_tells_each_fault_with_its_mend_and_changes_nothing() {
    let database = database().await;
    let operator = Operator::new(PUBLICATION);
    let mut command = operator.command(&["doctor"]);
    with_database(&mut command, &database);
    let ran = Ran::of(&mut command);
    // The tests' own server is quick because it forgets: that is a fault worth telling.
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(
        ran.out
            .contains("FAULT  fsync, synchronous_commit, full_page_writes = off"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("ALTER SYSTEM SET fsync = on"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("ok     schema: current"), "{}", ran.out);
    assert!(!operator.scratch.join("data").exists());

    // Without a database named, and none made yet.
    let ran = operator.run(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("is made at the first start"),
        "{}",
        ran.out
    );
    assert!(!operator.scratch.join("data").exists());

    // The operator's listener is looked at as well, and where it is open to others that is said.
    let mut command = operator.command(&["doctor"]);
    let ran = Ran::of(command.env("AQUA_OPERATOR_LISTEN", "0.0.0.0:0"));
    let said = "0.0.0.0:0 tells whoever reaches it";
    assert!(ran.out.contains(said), "{}", ran.out);
    let mut command = operator.command(&["doctor"]);
    let ran = Ran::of(command.env("AQUA_OPERATOR_LISTEN", "192.0.2.1:9888"));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("in `listen` in [operator]"), "{}", ran.out);
}

#[test]
fn doctor_says_of_a_back_office_that_it_reads_and_not_that_it_posts() {
    let hash = serving::hash_password(&Scratch::new(), "secret");
    let operator = Operator::new(&format!(
        "{PUBLICATION}users = [{{ login = \"1c\", password_hash = \"{hash}\", role = \"back_office\" }}]\n"
    ));
    let ran = operator.run(&["doctor"]);
    let said = "publication demodelivery: anybody who reaches it may post, from anywhere; 1 back office(s) may read the feed";
    assert!(ran.out.contains(said), "{}{}", ran.out, ran.err);
}

#[tokio::test]
async fn a_command_never_makes_the_database_that_it_does_not_find() {
    let operator = Operator::with_anonymous_publication();
    let file = operator.scratch.join("districts.json");
    fs::write(&file, r#"[{"number": 1, "name": "Центр"}]"#).unwrap();
    let file = file.to_str().unwrap();
    let commands = [
        &["target", "status"][..],
        &["order", "show", "1"],
        &["order", "set-status", "1", "approved"],
        &["journal", "batches"],
        &["numbers", "skip", "--by", "5"],
        &["import", "districts", file, "--publication", "demodelivery"],
    ];
    let other = database().await;
    let mut connection = other.options().connect().await.unwrap();
    let drop_all = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    sqlx::raw_sql(drop_all)
        .execute(&mut connection)
        .await
        .unwrap();
    for command in commands {
        // Without the service's environment.
        let ran = operator.run(command);
        assert_eq!(ran.code, Some(1), "{command:?}: {}", ran.out);
        let said = "there is no database here: no DATABASE_URL is set, and there is no private cluster in /";
        assert!(ran.last_line().contains(said), "{command:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{command:?}");
        assert!(!operator.scratch.join("data").exists(), "{command:?}");
        // With that of another program's database.
        let mut command = operator.command(command);
        with_database(&mut command, &other);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(1), "{command:?}: {}", ran.out);
        let said = "has no tables of this service: check DATABASE_URL";
        assert!(ran.last_line().contains(said), "{command:?}: {}", ran.err);
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let tables: i64 = sqlx::query_scalar(tables)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn passwords_in_plain_text_and_a_key_for_everybody_are_said() {
    let database = database().await;
    let scratch = Scratch::new();
    let hash = serving::hash_password(&scratch, "secret");
    let settings = format!(
        "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\n\
         users = [{{ login = \"site\", password_hash = \"{hash}\" }}]\n"
    );
    let operator = Operator::new(&settings);
    let mut command = operator.command(&["doctor"]);
    with_database(&mut command, &database);
    let ran = Ran::of(command.env("AQUA_LISTEN", "0.0.0.0:0"));
    let said = "note   passwords come to 0.0.0.0:0 in plain text";
    assert!(ran.out.contains(said), "{}", ran.out);

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        operator.scratch.join("cert.pem"),
        operator.scratch.join("key.pem"),
    );
    fs::write(cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let chmod = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o644);
    let tls = "tls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let settings = format!("{tls}{settings}");
    fs::write(operator.scratch.join("aqua.toml"), settings).unwrap();
    let mut command = operator.command(&["doctor"]);
    with_database(&mut command, &database);
    let ran = Ran::of(&mut command);
    assert!(
        ran.out.contains("key.pem may be read by others"),
        "{}",
        ran.out
    );
    let mut command = operator.command(&[]);
    with_database(&mut command, &database);
    let mut serving = Serving::spawn(&mut command);
    let line = serving.hear("key.pem may be read by others");
    assert!(line.contains("WARN"), "{line}");
    serving.is_ready();
    let ready = async || {
        let address = format!("http://{}/readyz", serving.operators_address());
        let answer = reqwest::get(address).await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let said = ready().await;
    let notes = said["notes"].as_array().unwrap();
    assert!(notes[0].as_str().unwrap().contains("chmod 600"), "{said}");
    chmod(0o600);
    // What was found out is not looked at again at once.
    while ready().await["notes"] != serde_json::json!([]) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_role_that_compose_makes_is_enough_and_is_no_superuser() {
    let server = Server::start(&QUICK).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose/role.sh");
    let made = Command::new(script)
        .env("PGHOST", server.folder())
        .env("PGPORT", "5432")
        .env("POSTGRES_PASSWORD", "it's \"$HOME\" \\")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let operator = Operator::with_anonymous_publication();
    let url = format!(
        "postgres://aqua@localhost/aqua?host={}",
        server.folder().display()
    );
    let mut command = operator.command(&[]);
    let serving = Serving::start(command.env("DATABASE_URL", url));
    assert_eq!(serving.post_example().await["success"], true);

    let mut superuser = server.options("postgres").connect().await.unwrap();
    let roles: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT rolname::text, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
                rolpassword IS NOT NULL
         FROM pg_authid WHERE rolcanlogin ORDER BY rolname",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let expected = [
        ("aqua".to_owned(), false, true),
        ("postgres".to_owned(), true, false),
    ];
    assert_eq!(roles, expected);
}

#[tokio::test]
async fn the_role_that_compose_makes_for_the_console_is_enough_and_the_services_own_is_refused() {
    let server = Server::start(&QUICK).await;
    for script in ["role.sh", "console-role.sh"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose");
        let made = Command::new(folder.join(script))
            .env("PGHOST", server.folder())
            .env("PGPORT", "5432")
            .env("POSTGRES_PASSWORD", "it's \"$HOME\" \\")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    }
    let operator = Operator::with_anonymous_publication();
    let url = |role: &str| {
        let folder = server.folder().display();
        format!("postgres://{role}@localhost/aqua?host={folder}")
    };
    let start = |role: &str| {
        let mut command = operator.command(&[]);
        command
            .env("DATABASE_URL", url("aqua"))
            .env("AQUA_CONSOLE_DATABASE_URL", url(role));
        command
    };
    let serving = Serving::start(&mut start("aqua_console"));
    assert_eq!(serving.post_example().await["success"], true);
    drop(serving);
    let mut again = Serving::start(&mut start("aqua_console"));
    let said = again.said_so_far();
    let granted = said.iter().any(|line| line.contains("has its rights"));
    assert!(!granted, "a start that changes nothing: {said:?}");
    again.signal(Signal::SIGTERM);
    again.hear("every request answered");
    let refused = Ran::of(start("aqua").arg("serve"));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("may do more than its pages need"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn a_stop_finishes_what_it_took_and_the_exit_code_says_so() {
    let database = database().await;
    let operator = Operator::with_anonymous_publication();
    let mut command = operator.command(&[]);
    with_database(&mut command, &database);
    let mut serving = Serving::start(&mut command);
    // A caller in the middle of its request.
    let mut caller = TcpStream::connect(serving.address).unwrap();
    let body = example_request().to_string();
    std::io::Write::write_all(
        &mut caller,
        format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    )
    .unwrap();
    // The service has the headers when it has asked the database for nothing yet; a second request proves it listens.
    serving.post_example().await;
    serving.signal(Signal::SIGTERM);
    serving.hear("stopping");
    std::io::Write::write_all(&mut caller, body.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut caller, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(serving.end().0, Some(0));
}

/// Files of the private cluster are their owner's alone.
#[tokio::test]
async fn what_serve_makes_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let operator = Operator::with_anonymous_publication();
    let serving = Serving::start(&mut operator.command(&[]));
    let folder: PathBuf = operator.scratch.join("data/postgres");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder) & 0o077, 0, "{:o}", mode(&folder));
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().0, Some(0));
}

#[tokio::test]
async fn load_measures_a_running_service_and_checks_every_answer() {
    let database = database().await;
    let operator = Operator::with_anonymous_publication();
    let mut command = operator.command(&[]);
    with_database(&mut command, &database);
    let serving = Serving::start(&mut command);
    let target = serving.address.to_string();
    let load = |more: &[&str]| {
        let mut arguments = vec!["load", "--json", "--target", &target];
        arguments.extend(more);
        let mut command = operator.command(&arguments);
        with_database(&mut command, &database);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(0), "{more:?}: {}{}", ran.out, ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let report = load(&[
        "--orders",
        "60",
        "--batch",
        "10",
        "--callers",
        "3",
        "--bad",
        "20",
        "--rounds",
        "3",
    ]);
    assert_eq!(report["service"]["orders"], 60);
    assert_eq!(report["rounds"].as_array().unwrap().len(), 3);
    let own_cpu = report["service"]["own_cpu_seconds"].as_f64().unwrap();
    assert!(own_cpu > 0.0);
    for resend in ["--resend", "--resend-changed"] {
        let report = load(&[resend, "--orders", "30", "--batch", "5", "--rate", "1000"]);
        assert_eq!(report["service"]["orders"], 30, "{resend}");
    }
    let report = load(&[
        "--resend", "--orders", "30", "--batch", "5", "--rounds", "2",
    ]);
    assert_eq!(report["service"]["orders"], 30);

    // Answers that are not as they should be are no result: this publication does not exist.
    let ran = Ran::of(&mut operator.command(&[
        "load",
        "--target",
        &target,
        "--publication",
        "other",
        "--orders",
        "1",
    ]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.last_line().contains("no result"), "{}", ran.err);
    // Another machine's orders are real ones.
    let ran = operator.run(&["load", "--target", "192.0.2.1:8888", "--orders", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.last_line().contains("--yes-really"), "{}", ran.err);
}

#[tokio::test]
async fn no_secret_and_nothing_about_people_is_in_the_log_at_its_most_talkative() {
    let database = database().await;
    let hash = serving::hash_password(&Scratch::new(), "the-password-42");
    let operator = Operator::new(&format!(
        "[database]\nmay_lose_orders = true\n[[publication]]\nname = 'demodelivery'\n\
         users = [{{ login = 'site', password_hash = '{hash}' }}]\n"
    ));
    let url = database
        .url()
        .replace("postgres@", "postgres:database-password-42@")
        + "&passwd=database-password-42&Password=database-password-42";
    let mut command = operator.command(&[]);
    let mut serving = Serving::start(command.env("DATABASE_URL", url).env("RUST_LOG", "trace"));
    let said = serving.said_so_far().join("\n");
    assert!(said.contains("unknown in the database's URL"), "{said}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut order = example_request()[0].clone();
    order["client"]["username"] = "Имярек Незнакомов".into();
    order["client"]["email"] = "somebody@example.org".into();
    order["client"]["phone"] = "+79991234567".into();
    order["shipping_address"]["street"] = "Потаённая".into();
    order["shipping_address"]["str"] = "Потаённая, 1".into();
    let mut rejected = order.clone();
    rejected["id"] = "rejected".into();
    rejected["total"] = (-1).into();
    for (password, status) in [("the-password-42", 200), ("wrong-password-42", 401)] {
        let answer = client
            .post(format!("http://{}{ORDERS}", serving.address))
            .basic_auth("site", Some(password))
            .body(serde_json::json!([order, rejected]).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
    // And an order that PostgreSQL itself complains about.
    sqlx::raw_sql(
        "CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END $$;
         CREATE TRIGGER complain BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION complain();",
    )
    .execute(&database.pool())
    .await
    .unwrap();
    order["total"] = 777.into();
    let answer = client
        .post(format!("http://{}{ORDERS}", serving.address))
        .basic_auth("site", Some("the-password-42"))
        .body(serde_json::json!([order]).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    serving.hear("refused by the database");
    serving.signal(Signal::SIGTERM);
    let said = serving.said_so_far();
    let (code, rest) = serving.end();
    assert_eq!(code, Some(0));
    let log = [said, rest].concat().join("\n");
    assert!(log.contains("DEBUG"), "it is at its most talkative");
    for secret in [
        "the-password-42",
        "wrong-password-42",
        "database-password-42",
        "argon2id",
        &hash,
        "c2l0ZTp0aGUtcGFzc3dvcmQtNDI",
        "Basic ",
        "Незнакомов",
        "somebody@",
        "9991234567",
        "Потаённая",
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {}", line.unwrap_or_default());
    }
}
