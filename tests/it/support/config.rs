//! Settings as the demo has them, for tests to change to their needs.

use std::{path::PathBuf, time::Duration};

use aqua_orders::{
    config::{
        Access, Backup, Config, Database, FirstNumbers, Journal, Limits, Log, Logins, Operator,
        Publication, Times, Traces,
    },
    order::{Rules, phone::Region},
};

/// Two anonymous publications, `demodelivery` (also `demodelivery_web`) and the Cyrillic `доставка`; the contract's
/// limits; a port of the system's choice on loopback.
pub fn demo_config() -> Config {
    Config {
        path: PathBuf::from("test.toml"),
        listen: ([127, 0, 0, 1], 0).into(),
        operator: Operator {
            listen: None,
            public_docs: false,
            hosts: Vec::new(),
        },
        log: Log {
            json: false,
            level: "info".into(),
        },
        traces: Traces {
            endpoint: None,
            one_of: 1,
        },
        database: Database {
            url: None,
            data_dir: PathBuf::from("data/postgres"),
            connections: 4,
            client_cache_bytes: 1024 * 1024,
            may_lose_orders: false,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(30),
        },
        limits: Limits {
            body_bytes: 16 * 1024 * 1024,
            batch_orders: 5_000,
            order_items: 500,
            client_addresses: 100,
            waiting_batches: 256,
            coalesce: true,
            connections: 5_000,
            connections_per_address: 5_000,
            connections_per_network: 5_000,
            answer_bytes: 24 * 1024 * 1024,
            dry_runs_per_minute: 1_000_000,
            bytes_in_flight: 128 * 1024 * 1024,
        },
        times: Times {
            answer: Duration::from_secs(30),
            headers: Duration::from_secs(10),
            body: Duration::from_mins(1),
            write: Duration::from_secs(30),
            write_mib: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        },
        journal: Journal {
            keep_batches: 90,
            keep_rejected: 365,
            keep_changes: 365,
            rejected_bytes_per_day: 64 * 1024 * 1024,
        },
        // Nobody is slowed down.
        logins: Logins {
            free_failures: 1_000_000,
            longest_pause: Duration::from_secs(4),
            forget: Duration::from_mins(15),
        },
        trusted_proxies: Vec::new(),
        tls: None,
        backup: Backup {
            folder: None,
            max_age: Duration::from_hours(26),
        },
        publications: vec![
            anonymous_publication("demodelivery", &["demodelivery_web"]),
            anonymous_publication("доставка", &[]),
        ],
    }
}

/// A publication that anybody may post to, with the document's settings.
pub fn anonymous_publication(name: &str, aliases: &[&str]) -> Publication {
    Publication {
        name: name.into(),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        access: Access::Anonymous,
        allow_from: Vec::new(),
        anonymous_from_anywhere: false,
        rules: Rules {
            timezone: chrono_tz::Europe::Moscow,
            phone_region: Region::Ru,
            payment_types: None,
            loyalty_system_is_active: true,
            answers_stored: true,
            max_order_items: 500,
            max_client_addresses: 100,
        },
        first_numbers: FirstNumbers {
            order: 1,
            client: 1,
            address: 1,
            product: 1,
        },
        demo_data: None,
    }
}
