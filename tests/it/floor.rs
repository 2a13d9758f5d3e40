//! PostgreSQL's floor, as `./bench.sh floor` measures it beside a running service.

use std::time::Duration;

use aqua_orders::load::{Plan, Target, Workload};
use serde_json::Value;

use crate::support::app::{ORDERS, TestApp};

#[path = "../../benches/performance/floor/mod.rs"]
mod benches;

#[tokio::test]
async fn the_floor_is_measured_in_turn_with_the_service_and_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let target = Target {
        address: app.address,
        host: app.address.to_string(),
        path: ORDERS.to_owned(),
        authorization: None,
    };
    let new = Plan {
        batch: 10,
        callers: 3,
        workload: Workload::New,
        orders: Some(20),
        duration: Duration::ZERO,
        rate: None,
        bad_percent: 20,
        client: None,
        seed: 1,
    };
    let resend = Plan {
        batch: 5,
        callers: 1,
        workload: Workload::Resend,
        orders: Some(15),
        bad_percent: 0,
        ..new.clone()
    };
    for (plan, rounds, orders) in [(new, 3, 60), (resend, 2, 30)] {
        let outcome =
            benches::in_turn::measure(&target, &plan, rounds, &app.database.options()).await;
        let report = serde_json::to_value(outcome.unwrap()).unwrap();
        assert_eq!(report["service"]["orders"], orders);
        assert_eq!(report["rounds"].as_array().unwrap().len(), rounds);
        for number in [
            "/floor/orders_per_second",
            "/floor/ratios/orders_per_second",
            "/floor/ratios/p50_against_bare_insert",
            "/service/own_cpu_seconds",
        ] {
            assert!(report.pointer(number).and_then(Value::as_f64).unwrap() > 0.0);
        }
    }
    let schemas: i64 = app
        .value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'aqua_floor%'")
        .await;
    assert_eq!(schemas, 0);
}
