//! What was reached, as JSON and as the tables of docs/performance.md.

use std::{fmt::Write as _, fs, path::Path};

use aqua_orders::load::{Error, median};
use serde::Serialize;

use crate::{
    chart::{Chart, Series},
    machine::Machine,
};

/// A line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    /// For `--only` and for machines.
    pub name: &'static str,
    /// What is compared.
    pub what: &'static str,
    pub unit: Unit,
    /// Ours, the median of the rounds, in the measure's own unit.
    pub ours: f64,
    /// What it is compared with; none where the bound is absolute.
    pub against: Option<f64>,
    /// Ours against that: the median of the rounds' own ratios, for both sides of a round met the same weather.
    pub reached: f64,
    pub must: f64,
    pub aim: f64,
    pub met: bool,
    /// The same with a flush of 2 ms.
    pub slow_flush: Option<f64>,
}

/// What a row's number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Times; less is better.
    Slower,
    /// Times; more is better.
    Faster,
    /// A share of the floor; more is better.
    Share,
    /// Megabytes; less is better.
    Megabytes,
}

/// What the sides of a row are measured in.
pub const MILLISECONDS: &str = "ms";
pub const ORDERS: &str = "/s";

impl Unit {
    fn met(self, reached: f64, bound: f64) -> bool {
        match self {
            Self::Slower | Self::Megabytes => reached <= bound,
            Self::Faster | Self::Share => reached >= bound,
        }
    }

    fn bound(self, bound: f64) -> String {
        let sign = match self {
            Self::Slower | Self::Megabytes => '≤',
            Self::Faster | Self::Share => '≥',
        };
        format!("{sign} {}", self.show(bound))
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Slower | Self::Faster => {
                let text = format!("{value:.2}");
                format!("{} ×", text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Share => format!("{:.0} %", value * 100.0),
            Self::Megabytes => format!("{value:.0} MB"),
        }
    }
}

/// One row as it was asked for: name, text, bounds.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub name: &'static str,
    pub what: &'static str,
    pub unit: Unit,
    pub must: f64,
    pub aim: f64,
}

impl Wanted {
    /// What the rounds came to: ours and what it is compared with, of each.
    pub fn compared(self, rounds: &[[f64; 2]]) -> Row {
        let reached = median(rounds.iter().map(|[ours, against]| ours / against));
        self.row(
            median(rounds.iter().map(|round| round[0])),
            Some(median(rounds.iter().map(|round| round[1]))),
            reached,
        )
    }

    /// A number that is compared with the bounds alone.
    pub fn absolute(self, value: f64) -> Row {
        self.row(value, None, value)
    }

    fn row(self, ours: f64, against: Option<f64>, reached: f64) -> Row {
        Row {
            name: self.name,
            what: self.what,
            unit: self.unit,
            ours,
            against,
            reached,
            must: self.must,
            aim: self.aim,
            met: self.unit.met(reached, self.must),
            slow_flush: None,
        }
    }
}

/// Throughput by batch size, orders a second.
#[derive(Debug, Serialize)]
pub struct BySize {
    pub batch: usize,
    pub new: f64,
    pub new_floor: f64,
    /// The shape that was best, of the last round.
    pub new_floor_shape: &'static str,
    /// What each shape came to in that round.
    pub new_floor_tried: Vec<(&'static str, f64)>,
    pub unchanged: f64,
    pub unchanged_floor: f64,
    /// The load tool's own share of one processor while it sent new orders.
    pub tool_share: f64,
}

/// Latency by callers, milliseconds.
#[derive(Debug, Serialize)]
pub struct ByCallers {
    pub callers: usize,
    pub coalesced: Side,
    pub apart: Side,
}

#[derive(Debug, Serialize)]
pub struct Side {
    pub orders_per_second: f64,
    pub p50: f64,
    pub p99: f64,
}

/// p50 of one order by what is stored, milliseconds.
#[derive(Debug, Serialize)]
pub struct ByStored {
    pub orders: u64,
    pub new: f64,
    pub unchanged: f64,
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    pub rounds: usize,
    pub quick: bool,
    pub bare_insert_ms: Option<f64>,
    pub bare_insert_ms_slow_flush: Option<f64>,
    pub rows: Vec<Row>,
    pub by_size: Vec<BySize>,
    pub by_size_slow_flush: Vec<BySize>,
    pub by_callers: Vec<ByCallers>,
    pub by_stored: Vec<ByStored>,
}

impl Results {
    /// The Markdown between the markers.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "Measured on {} with aqua-orders {} and PostgreSQL {}: {} cores ({}), {:.0} GiB of memory, Linux {}.\n\
             Medians of {} interleaved rounds{}.\n",
            machine.date,
            machine.version,
            machine.postgresql,
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.kernel,
            self.rounds,
            if self.quick {
                ", shortened: **not the full run**"
            } else {
                ""
            },
        );
        if let Some(bare) = self.bare_insert_ms {
            let _ = write!(text, "A bare `INSERT` and its commit: {bare:.2} ms");
            match self.bare_insert_ms_slow_flush {
                Some(slow) => {
                    let _ = writeln!(text, "; {slow:.2} ms with the slow flush.\n");
                }
                None => text.push_str(".\n\n"),
            }
        }
        text.push_str(
            "| what | ours | against | must | aim | reached | with a 2 ms flush |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in &self.rows {
            let measure = measure(row);
            let unit = row.unit;
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.what,
                measure(row.ours),
                row.against.map_or_else(|| "–".into(), &measure),
                unit.bound(row.must),
                unit.show(row.aim),
                mark(row, row.reached),
                row.slow_flush
                    .map_or_else(|| "–".into(), |reached| mark(row, reached)),
            );
        }
        if let Some(size) = self.by_size.first() {
            let shares = self.by_size.iter().map(|size| size.tool_share);
            let most = shares.fold(size.tool_share, f64::max);
            let _ = writeln!(
                text,
                "\nThe load tool took at most {:.0} % of one core while it sent new orders.",
                most * 100.0
            );
        }
        text
    }

    fn charts(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let mut charts = Vec::new();
        if !self.by_size.is_empty() {
            let of = |field: fn(&BySize) -> f64| self.by_size.iter().map(field).collect();
            charts.push((
                "throughput.svg",
                Chart {
                    title: "Orders a second by batch size, one caller",
                    along: "orders in a batch",
                    up: "orders a second",
                    places: self.by_size.iter().map(|s| s.batch.to_string()).collect(),
                    series: vec![
                        line("new orders", 0, false, of(|s| s.new)),
                        line("floor, new", 0, true, of(|s| s.new_floor)),
                        line("unchanged", 1, false, of(|s| s.unchanged)),
                        line("floor, unchanged", 1, true, of(|s| s.unchanged_floor)),
                    ],
                }
                .svg()?,
            ));
        }
        if !self.by_callers.is_empty() {
            let of = |field: fn(&ByCallers) -> f64| self.by_callers.iter().map(field).collect();
            charts.push((
                "callers.svg",
                Chart {
                    title: "Time of one new order by callers, with and without coalescing",
                    along: "callers at once, one order each",
                    up: "milliseconds",
                    places: self
                        .by_callers
                        .iter()
                        .map(|c| c.callers.to_string())
                        .collect(),
                    series: vec![
                        line("on, p50", 0, false, of(|c| c.coalesced.p50)),
                        line("on, p99", 0, true, of(|c| c.coalesced.p99)),
                        line("off, p50", 1, false, of(|c| c.apart.p50)),
                        line("off, p99", 1, true, of(|c| c.apart.p99)),
                    ],
                }
                .svg()?,
            ));
        }
        if !self.by_stored.is_empty() {
            let of = |field: fn(&ByStored) -> f64| self.by_stored.iter().map(field).collect();
            charts.push((
                "stored.svg",
                Chart {
                    title: "Time of one order by what is stored, p50, one caller",
                    along: "orders stored",
                    up: "milliseconds",
                    places: self.by_stored.iter().map(|s| thousands(s.orders)).collect(),
                    series: vec![
                        line("new order", 0, false, of(|s| s.new)),
                        line("unchanged order", 1, false, of(|s| s.unchanged)),
                    ],
                }
                .svg()?,
            ));
        }
        Ok(charts)
    }

    /// Writes results.json and the charts into `folder`, and the tables between the markers of `document`.
    pub fn write(&self, folder: &Path, document: Option<&Path>) -> Result<(), Error> {
        fs::create_dir_all(folder)?;
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(folder.join("results.json"), json)?;
        for (name, svg) in self.charts()? {
            fs::write(folder.join(name), svg)?;
        }
        let Some(document) = document else {
            return Ok(fs::write(folder.join("results.md"), self.markdown())?);
        };
        let text = fs::read_to_string(document)?;
        let between = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let (before, after) = between.ok_or("docs/performance.md has lost its markers")?;
        let text = format!("{before}{BEGIN}\n{}{END}{after}", self.markdown());
        Ok(fs::write(document, text)?)
    }
}

const BEGIN: &str = "<!-- written by bench.sh: begin -->";
const END: &str = "<!-- written by bench.sh: end -->";

fn line(name: &str, colour: usize, dashed: bool, values: Vec<f64>) -> Series<'_> {
    Series {
        name,
        colour,
        dashed,
        values,
    }
}

/// How a row's sides are written: throughput is in the thousands, times are not.
fn measure(row: &Row) -> impl Fn(f64) -> String + use<> {
    let unit = row.unit;
    move |value| match unit {
        Unit::Megabytes => format!("{value:.0} MB"),
        Unit::Slower => format!("{value:.2} {MILLISECONDS}"),
        Unit::Faster | Unit::Share => format!("{value:.0}{ORDERS}"),
    }
}

fn mark(row: &Row, reached: f64) -> String {
    let shown = row.unit.show(reached);
    if !row.unit.met(reached, row.must) {
        format!("**{shown}: missed**")
    } else if row.unit.met(reached, row.aim) {
        format!("**{shown}**")
    } else {
        shown
    }
}

fn thousands(number: u64) -> String {
    match number {
        0 => "none".into(),
        number if number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        number => format!("{}k", number / 1_000),
    }
}
