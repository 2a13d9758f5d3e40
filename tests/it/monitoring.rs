//! What Prometheus and Grafana are given speaks of metrics that there are.

use std::{collections::BTreeSet, fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    process::Scratch,
    serving::{Serving, command},
};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with("aqua_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Every expression of a dashboard.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if ["expr", "query", "definition"].contains(&key.as_str()) => {
                    vec![text.clone()]
                }
                value => expressions(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_of_the_alerts_is_one_of_ours() {
    let scratch = Scratch::new();
    let settings = "[backup]\nfolder = \".\"\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n\
         [[publication.target]]\nname = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/\"\n";
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    // A private cluster, because some are told of it alone; an order, because some begin with it; and a target.
    let serving = Serving::start(&mut command(&scratch));
    serving.post_example().await;
    let address = format!("http://{}/metrics", serving.operators_address());
    let text = reqwest::get(address).await.unwrap().text().await.unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut there: BTreeSet<String> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect();
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().0, Some(0));
    // Only a Citus cluster has workers: citus.rs looks for it there.
    there.insert("aqua_database_worker_up".to_owned());

    let dashboard: Value =
        serde_json::from_str(&file("grafana/dashboards/aqua-orders.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20, "{expressions:?}");
    let named = metrics_in(&expressions.join(" "));
    for half in [
        "aqua_target_lag_orders",
        "aqua_target_dead_orders",
        "aqua_feed_reads_total",
    ] {
        assert!(named.contains(half), "the dashboard does not show {half}");
    }
    let rules = file("prometheus/alerts.yml");
    // Texts may name metrics, too: whoever reads them looks for those.
    for (whose, named) in [
        ("the dashboard", metrics_in(&expressions.join(" "))),
        ("the alerts", metrics_in(&rules)),
    ] {
        assert!(named.len() > 10, "{whose}: {named:?}");
        let unknown: Vec<&String> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "{whose}: {unknown:?}");
    }
}

#[test]
fn every_alert_has_a_test_and_a_place_in_the_operators_guide() {
    let rules = file("prometheus/alerts.yml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let tests = file("prometheus/alerts_test.yml");
    let guide = file("../docs/operations.ru.md");
    let mut count = 0;
    for name in names {
        count += 1;
        assert!(
            tests.contains(&format!("alertname=\"{name}\"")),
            "{name} is never tried"
        );
        assert!(guide.contains(&format!("`{name}`")), "{name} in the guide");
    }
    assert!(count > 10, "{count} alerts");
}
