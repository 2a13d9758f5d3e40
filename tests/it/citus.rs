//! On a Citus cluster of a coordinator and two workers: nodes are killed and shards move under load, and it is compared with
//! plain PostgreSQL. `./test.sh citus` runs this, and then the other tests on such a cluster.

use std::time::{Duration, Instant};

use aqua_orders::database;
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Row, raw_sql};
use tokio::time::sleep;

use crate::{
    fault_run::{self, Database, PEACE, Service, WHILE, print},
    support::{
        app::order,
        cluster::Cluster,
        process::Scratch,
        register::{Figures, Register},
    },
};

const SETTINGS: &str = "shared_preload_libraries = 'citus'\nwal_level = logical\nmax_prepared_transactions = 100\n\
                        max_worker_processes = 30\ncitus.shard_count = 8";

/// A cluster with a service on it. `nodes[0]` is the coordinator.
struct World {
    // The service first: dropped, it is to find its database.
    service: Service,
    nodes: Vec<Cluster>,
}

impl World {
    async fn make() -> Self {
        let scratch = Scratch::new();
        let nodes = cluster(&scratch).await;
        // As deploy/citus.sql says: the service's first start makes the tables, then they are spread.
        let mut service = Service::start(scratch, Database::Url(nodes[0].url()));
        service.kill();
        let spread = raw_sql(include_str!("../../deploy/citus.sql"));
        spread
            .execute(&fault_run::pool(&nodes[0]))
            .await
            .expect("deploy/citus.sql");
        service.start_again();
        Self { service, nodes }
    }

    /// Which of the nodes has the publication that is sent to.
    async fn of_publication(&self) -> usize {
        let (host, _) = self.shard().await;
        let is_it = |node: &Cluster| node.folder().display().to_string() == host;
        self.nodes.iter().position(is_it).unwrap()
    }

    /// Where the publication is, and its shard of `orders`.
    async fn shard(&self) -> (String, i64) {
        let row = sqlx::query(
            "SELECT nodename, shardid FROM citus_shards WHERE table_name = 'orders'::regclass
               AND shardid = get_shard_id_for_distribution_column('orders', 'demodelivery')",
        );
        let row = row
            .fetch_one(&fault_run::pool(&self.nodes[0]))
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    /// Moves the publication to the other worker.
    async fn move_shard(&self) {
        let (from, shard) = self.shard().await;
        let mut workers = self.nodes[1..]
            .iter()
            .map(|node| node.folder().display().to_string());
        let to = workers.find(|host| *host != from).unwrap();
        let sql = format!(
            "SELECT citus_move_shard_placement({shard}, '{from}', 5432, '{to}', 5432, 'force_logical')"
        );
        execute(&self.nodes[0], sql).await;
    }

    /// Transactions that a crash left in doubt.
    async fn in_doubt(&self) -> i64 {
        let mut sum = 0;
        for node in &self.nodes {
            let count = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_xacts");
            sum += count.fetch_one(&fault_run::pool(node)).await.unwrap_or(0);
        }
        sum
    }

    /// Has the senders at work, does it, and lets them work on.
    async fn suffer(&mut self, fault: Fault, name: &str) -> Figures {
        let register = Register::open(name, self.service.address());
        register.hears_something().await;
        sleep(PEACE).await;
        let worker = self.of_publication().await;
        match fault {
            Fault::WorkerKilled => {
                self.nodes[worker].end(Signal::SIGKILL);
                self.nodes[worker].start().await;
            }
            Fault::WorkerFrozen => {
                self.nodes[worker].signal_all(Signal::SIGSTOP);
                sleep(2 * WHILE).await;
                self.nodes[worker].signal_all(Signal::SIGCONT);
            }
            Fault::CoordinatorKilled => {
                self.nodes[0].end(Signal::SIGKILL);
                sleep(WHILE).await;
                self.nodes[0].start().await;
            }
            Fault::EverythingKilled => {
                for node in &mut self.nodes {
                    node.end(Signal::SIGKILL);
                }
                for node in &mut self.nodes {
                    node.start().await;
                }
            }
            Fault::ServiceKilled => {
                self.service.kill();
                self.service.start_again();
            }
            Fault::ShardMoved => {
                self.move_shard().await;
                self.move_shard().await;
            }
            Fault::PublicationIsolated => {
                let sql = "SELECT isolate_tenant_to_new_shard('orders', 'demodelivery', 'CASCADE', shard_transfer_mode => 'block_writes')";
                execute(&self.nodes[0], sql.to_owned()).await;
                self.move_shard().await;
            }
        }
        // Whatever a batch leaves behind would be here now.
        assert_eq!(self.in_doubt().await, 0, "{fault:?}");
        register.hears_something().await;
        sleep(PEACE).await;
        register.close(name, &fault_run::pool(&self.nodes[0])).await
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    WorkerKilled,
    WorkerFrozen,
    CoordinatorKilled,
    EverythingKilled,
    ServiceKilled,
    ShardMoved,
    PublicationIsolated,
}

/// A coordinator and two workers.
async fn cluster(scratch: &Scratch) -> Vec<Cluster> {
    let mut nodes: Vec<Cluster> = ["coordinator", "worker-1", "worker-2"]
        .map(|name| {
            let folder = scratch.join(name);
            let itself = format!("citus.local_hostname = '{}'", folder.display());
            Cluster::make(scratch, name, &format!("{SETTINGS}\n{itself}"))
        })
        .into();
    for node in &mut nodes {
        node.start().await;
        fault_run::run(node, "CREATE EXTENSION citus").await;
    }
    for (node, add) in nodes.iter().zip([
        "citus_set_coordinator_host",
        "citus_add_node",
        "citus_add_node",
    ]) {
        let add = format!("SELECT {add}('{}', 5432)", node.folder().display());
        execute(&nodes[0], add).await;
    }
    nodes
}

/// Sends an order to a publication; returns the status.
async fn post_to(world: &World, publication: &str) -> u16 {
    post(world, publication, "1").await
}

async fn post(world: &World, publication: &str, id: &str) -> u16 {
    let url = format!(
        "http://{}/{publication}/hs/AquaDeliveri/getOrdersURL",
        world.service.address()
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let batch = serde_json::json!([order(id)]).to_string();
    client
        .post(url)
        .body(batch)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn ask_operator(world: &World, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{path}", world.service.operators_address());
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn execute(node: &Cluster, sql: String) {
    let sql = sqlx::query(AssertSqlSafe(sql));
    sql.execute(&fault_run::pool(node)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn the_citus_run() {
    const ROUNDS: usize = 3;
    let mut world = World::make().await;
    let mut whole = Figures::default();
    for (fault, what) in [
        (Fault::WorkerKilled, "worker: kill -9"),
        (Fault::WorkerFrozen, "worker: SIGSTOP for 4 s"),
        (Fault::CoordinatorKilled, "coordinator: kill -9, 2 s away"),
        (Fault::EverythingKilled, "every node: kill -9"),
        (Fault::ServiceKilled, "service: kill -9"),
        (Fault::ShardMoved, "shard moved there and back"),
    ] {
        let mut figures = Figures::default();
        for round in 0..ROUNDS {
            let name = format!("{fault:?} {round}");
            figures = figures.and(world.suffer(fault, &name).await);
        }
        print(what, &figures);
        whole = whole.and(figures);
    }
    // Once set apart, it is apart.
    let figures = world.suffer(Fault::PublicationIsolated, "isolated").await;
    print("publication set apart, and moved", &figures);
    whole = whole.and(figures);
    print("in all", &whole);
    whole.hold();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn a_worker_that_is_away_stops_its_publications_and_no_others() {
    let mut world = World::make().await;
    let others = {
        // A publication of the other worker.
        let (ours, _) = world.shard().await;
        let name = sqlx::query_scalar(
            "SELECT name FROM unnest(ARRAY['shop-1', 'shop-2', 'shop-3', 'shop-4']) AS name
             JOIN citus_shards ON table_name = 'orders'::regclass
              AND shardid = get_shard_id_for_distribution_column('orders', name)
             WHERE nodename <> $1 LIMIT 1",
        );
        let name: String = name
            .bind(ours)
            .fetch_one(&fault_run::pool(&world.nodes[0]))
            .await
            .unwrap();
        name
    };
    assert_eq!(post_to(&world, "demodelivery").await, 200);
    assert_eq!(post_to(&world, &others).await, 200);
    let worker = world.of_publication().await;
    world.nodes[worker].end(Signal::SIGKILL);
    for _ in 0..3 {
        assert_eq!(post_to(&world, "demodelivery").await, 503);
        assert_eq!(post_to(&world, &others).await, 200);
    }
    world.service.kill();
    world.service.start_again();
    assert_eq!(post_to(&world, "demodelivery").await, 503);
    assert_eq!(post_to(&world, &others).await, 200);
    let (status, ready) = ask_operator(&world, "/readyz").await;
    assert_eq!(status, 200, "{ready}");
    let away = format!("{}:5432", world.nodes[worker].folder().display());
    assert!(
        ready.contains(&away) && ready.contains(r#""ok":false"#),
        "{ready}"
    );
    // It is asked anew every few seconds.
    sleep(Duration::from_secs(3)).await;
    let (_, metrics) = ask_operator(&world, "/metrics").await;
    let up = format!(r#"aqua_database_worker_up{{worker="{away}"}} 0"#);
    assert!(metrics.contains(&up), "{metrics}");
    world.nodes[worker].start().await;
    assert_eq!(post_to(&world, "demodelivery").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn a_batch_waits_for_the_move_of_its_publication_and_follows_it() {
    let world = World::make().await;
    assert_eq!(post(&world, "demodelivery", "1").await, 200);
    let from = world.of_publication().await;
    // A move keeps writers out, and then says where the shard is now. Here it has to wait with that.
    let coordinator = fault_run::pool(&world.nodes[0]);
    let mut transaction = coordinator.begin().await.unwrap();
    let stop = sqlx::query("LOCK TABLE pg_dist_placement IN SHARE MODE");
    stop.execute(&mut *transaction).await.unwrap();
    let lock = |which: &str| {
        format!(
            "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 8 AND {which})"
        )
    };
    let one_meets_the_other = async {
        let worker = &world.nodes[from];
        until(worker, lock("mode = 'ExclusiveLock'")).await;
        let goes_on = async {
            until(worker, lock("NOT granted")).await;
            transaction.commit().await.unwrap();
        };
        tokio::join!(post(&world, "demodelivery", "2"), goes_on).0
    };
    let ((), status) = tokio::join!(world.move_shard(), one_meets_the_other);
    assert_eq!(status, 200);
    assert_ne!(world.of_publication().await, from);
    let stored = sqlx::query_scalar(
        "SELECT string_agg(sender_id, ' ' ORDER BY sender_id) FROM orders WHERE publication = 'demodelivery'",
    );
    let stored: String = stored.fetch_one(&coordinator).await.unwrap();
    assert_eq!(stored, "1 2");
}

/// Waits until it is so.
async fn until(node: &Cluster, it_is: String) {
    let sql = format!("SELECT {it_is}");
    let pool = fault_run::pool(node);
    for _ in 0..100 {
        let is_it = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        if is_it.fetch_one(&pool).await.unwrap() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {it_is}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn a_young_shard_is_analysed_at_its_worker() {
    let world = World::make().await;
    for id in 0..30 {
        assert_eq!(post(&world, "demodelivery", &format!("{id}")).await, 200);
    }
    let (_, shard) = world.shard().await;
    let worker = &world.nodes[world.of_publication().await];
    let analysed = format!("pg_stat_get_last_analyze_time('orders_{shard}'::regclass) IS NOT NULL");
    until(worker, analysed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn nobody_waits_longer_for_a_lock_at_a_worker_than_is_configured() {
    let world = World::make().await;
    let (_, shard) = world.shard().await;
    let pool = fault_run::pool(&world.nodes[world.of_publication().await]);
    let mut transaction = pool.begin().await.unwrap();
    // The first meets the reading, the second the writing.
    for lock in [
        "SET LOCAL citus.enable_manual_changes_to_shards = on; LOCK TABLE orders_#",
        "ROLLBACK; BEGIN; SELECT lock_shard_metadata(7, ARRAY[#])",
    ] {
        let lock = lock.replace('#', &shard.to_string());
        let lock = raw_sql(AssertSqlSafe(lock));
        lock.execute(&mut *transaction).await.unwrap();
        let begun = Instant::now();
        assert_eq!(post_to(&world, "demodelivery").await, 503);
        let waited = begun.elapsed().as_millis();
        assert!(
            (900..4_000).contains(&waited),
            "{waited} ms, lock_timeout is 1 s"
        );
    }
    transaction.rollback().await.unwrap();
    assert_eq!(post_to(&world, "demodelivery").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn a_worker_that_may_lose_commits_is_refused_and_told_of() {
    let world = World::make().await;
    fault_run::run(&world.nodes[2], "ALTER SYSTEM SET fsync = off").await;
    fault_run::run(&world.nodes[2], "SELECT pg_reload_conf()").await;
    let name = format!(
        "worker {}:5432: fsync = off",
        world.nodes[2].folder().display()
    );
    for command in ["check", "doctor", "serve"] {
        let output = world.service.command(command).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            !output.status.success() && said.contains(&name),
            "{command}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn the_comparison() {
    const ROUNDS: usize = 5;
    let citus = World::make().await;
    let scratch = Scratch::new();
    let mut postgres = Cluster::make(&scratch, "postgres", "");
    postgres.start().await;
    let plain = Service::start(scratch, Database::Url(postgres.url()));
    for (batch, callers) in [(1, 1), (100, 1), (1, 8), (100, 8)] {
        let measure = |service: &Service| -> f64 {
            let mut load = service.command("load");
            let seconds = "4";
            load.args(["--target", &service.address().to_string(), "--json"])
                .args(["--duration", seconds])
                .args([
                    "--batch",
                    &batch.to_string(),
                    "--callers",
                    &callers.to_string(),
                ]);
            let output = load.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let report: serde_json::Value = serde_json::from_str(&said).expect(&said);
            report["service"]["orders_per_second"]
                .as_f64()
                .expect(&said)
        };
        let mut rows: Vec<[f64; 2]> = Vec::new();
        for _ in 0..ROUNDS {
            rows.push([measure(&citus.service), measure(&plain)]);
        }
        let median = |side: usize| {
            let mut side: Vec<f64> = rows.iter().map(|row| row[side]).collect();
            side.sort_by(f64::total_cmp);
            side[ROUNDS / 2]
        };
        println!(
            "batches of {batch:>3}, {callers} caller(s): Citus {:>6.0} orders a second, plain {:>6.0}, ratio {:.2}",
            median(0),
            median(1),
            median(0) / median(1)
        );
    }
}

#[tokio::test]
#[ignore = "takes a PostgreSQL with Citus: ./test.sh citus"]
async fn an_upgrade_changes_spread_tables_and_spreads_new_ones() {
    // The last migration before the service ran on Citus.
    const EARLIER: i64 = 6;
    let scratch = Scratch::new();
    let nodes = cluster(&scratch).await;
    let pool = fault_run::pool(&nodes[0]);
    let mut earlier = sqlx::migrate!();
    earlier
        .migrations
        .to_mut()
        .retain(|migration| migration.version <= EARLIER);
    earlier.run(&pool).await.unwrap();
    let spread = include_str!("../../deploy/citus.sql").lines();
    for statement in spread.filter(|line| line.starts_with("SELECT")) {
        let table = statement.split('\'').nth(1).unwrap();
        let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table);
        if there.fetch_one(&pool).await.unwrap() {
            execute(&nodes[0], statement.to_owned()).await;
        }
    }
    let options = nodes[0].options("postgres");
    database::migrate(&options, Duration::from_secs(10))
        .await
        .unwrap();
    let left = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'publication'
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
           AND c.oid NOT IN (SELECT logicalrelid FROM pg_dist_partition)",
    );
    let left: Vec<String> = left.fetch_all(&pool).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
