//! Microseconds an order, stage by stage: `cargo bench --bench order`, of one stage `-- decide`.
//!
//! Only the processor's work on this side of the database; how fast the whole is, `aqua-orders load` says.

mod stages;

use std::time::Duration;

use criterion::{
    BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};

/// Orders gone through in one turn of a benchmark, in batches of each of the sizes.
const ORDERS: usize = 1_000;
const SIZES: [usize; 3] = [1, 100, 1_000];

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(PerOrder(WallTime))
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .configure_from_args();
    for stage in stages::STAGES {
        let mut group = criterion.benchmark_group(stage.name);
        group.throughput(Throughput::Elements(ORDERS as u64));
        for case in stage.cases {
            for size in SIZES {
                let batches = stages::batches(*case, size, ORDERS / size);
                group.bench_function(BenchmarkId::new(case.name(), size), |bencher| {
                    bencher.iter(|| batches.iter().for_each(stage.run));
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Time as always, but where the table has orders a second it shows what an order takes.
struct PerOrder(WallTime);

impl Measurement for PerOrder {
    type Intermediate = <WallTime as Measurement>::Intermediate;
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        self.0.start()
    }

    fn end(&self, started: Self::Intermediate) -> Duration {
        self.0.end(started)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        self.0.add(one, other)
    }

    fn zero(&self) -> Duration {
        self.0.zero()
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

/// Criterion hands over nanoseconds.
impl ValueFormatter for PerOrder {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        self.0.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(
        &self,
        typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let Throughput::Elements(orders) = throughput else {
            return self
                .0
                .formatter()
                .scale_throughputs(typical, throughput, values);
        };
        for value in values {
            // As many orders as fit in here are counted exactly by a float.
            #[expect(clippy::cast_precision_loss, reason = "a thousand")]
            let orders = *orders as f64;
            *value /= orders * 1_000.0;
        }
        "µs/order"
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        self.0.formatter().scale_for_machines(values)
    }
}
