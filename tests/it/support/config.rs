//! Settings as the demo has them, for tests to change to their needs.

use aqua_orders::config::{Config, Environment, Publication, Target};

/// What differs from `config/default.toml`. Nobody is slowed down.
pub const SETTINGS: &str = r#"
listen = "127.0.0.1:0"
operator = { listen = "off" }
database = { connections = 4, client_cache_bytes = 1048576, start_timeout = 30 }
times = { answer = 30, stop = 10 }
logins = { free_failures = 1000000 }

[limits]
connections = 5000
connections_per_address = 5000
connections_per_network = 5000
dry_runs_per_minute = 1000000
"#;

/// Two anonymous publications, `demodelivery` (also `demodelivery_web`) and the Cyrillic `доставка`; the contract's
/// limits; a port of the system's choice on loopback.
pub fn demo_config() -> Config {
    let (web, cyrillic) = (
        anonymous("demodelivery", &["demodelivery_web"]),
        anonymous("доставка", &[]),
    );
    parse(&format!("{SETTINGS}{web}{cyrillic}"))
}

/// A publication that anybody may post to, with the document's settings.
pub fn anonymous_publication(name: &str, aliases: &[&str]) -> Publication {
    parse(&anonymous(name, aliases)).publications.remove(0)
}

fn anonymous(name: &str, aliases: &[&str]) -> String {
    format!(
        "[[publication]]\nname = {name:?}\naliases = {aliases:?}\nanonymous = true\nloyalty_system_is_active = true\n"
    )
}

fn parse(text: &str) -> Config {
    Config::parse("test.toml".as_ref(), text, &Environment::default()).unwrap()
}

/// A target with these settings, written as in a file.
pub fn target(settings: &str) -> Target {
    let publication = anonymous("a", &[]);
    let config = parse(&format!("{publication}[[publication.target]]\n{settings}"));
    config.publications[0].targets[0].clone()
}
