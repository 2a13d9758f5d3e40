//! Line charts as SVG: evenly spaced sizes along, a logarithmic scale up, legible in light and in dark.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 58.0;
/// What the scale's lines stand at, of each power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// A chart.
pub struct Chart<'a> {
    pub title: &'a str,
    pub along: &'a str,
    pub up: &'a str,
    /// The sizes measured at.
    pub places: Vec<String>,
    pub series: Vec<Series<'a>>,
}

/// A line of it.
pub struct Series<'a> {
    pub name: &'a str,
    /// Which colour of the style sheet, 0 to 3.
    pub colour: usize,
    pub dashed: bool,
    /// One for each place.
    pub values: Vec<f64>,
}

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.ground { fill: #fff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a }
.line { fill: none; stroke-width: 2.5 } .dashed { stroke-dasharray: 7 5 }
.c0 { stroke: #0a6fc2; fill: #0a6fc2 } .c1 { stroke: #c4580a; fill: #c4580a }
.c2 { stroke: #1a7f37; fill: #1a7f37 } .c3 { stroke: #8250df; fill: #8250df }
.line.c0, .line.c1, .line.c2, .line.c3 { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .ground { fill: #0d1117 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
.c0 { stroke: #58a6ff; fill: #58a6ff } .c1 { stroke: #f0883e; fill: #f0883e }
.c2 { stroke: #56d364; fill: #56d364 } .c3 { stroke: #bc8cff; fill: #bc8cff }
.line.c0, .line.c1, .line.c2, .line.c3 { fill: none }
}";

impl Chart<'_> {
    /// Draws it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "places and series are a handful"
    )]
    pub fn svg(&self) -> String {
        let values = || {
            self.series
                .iter()
                .flat_map(|series| series.values.iter().copied())
                .filter(|value| value.is_finite() && *value > 0.0)
        };
        let low = nice_below(values().fold(f64::MAX, f64::min));
        let high = nice_above(values().fold(f64::MIN_POSITIVE, f64::max));
        let bottom = HEIGHT - BOTTOM;
        let gap = (WIDTH - LEFT - RIGHT) / self.places.len() as f64;
        let x = |place: usize| LEFT + gap * (place as f64 + 0.5);
        let y = |value: f64| {
            bottom - (bottom - TOP) * (value / low).ln() / (high / low).ln().max(f64::EPSILON)
        };

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"28\">{}</text>\n",
            self.title, self.title
        );
        // Writing to a String cannot fail, here and below.
        for value in scale(low, high) {
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                y(value),
                y(value),
                LEFT - 8.0,
                y(value) + 4.5,
                short(value)
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>",
            WIDTH - RIGHT
        );
        for (place, name) in self.places.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
                x(place),
                bottom + 20.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 14.0,
            self.along,
            f64::midpoint(TOP, bottom),
            self.up
        );
        let legend_gap = (WIDTH - LEFT - RIGHT) / self.series.len().max(1) as f64;
        for (nth, series) in self.series.iter().enumerate() {
            let class = format!("c{}", series.colour % 4);
            let dashed = if series.dashed { " dashed" } else { "" };
            let points: Vec<(f64, f64)> = series
                .values
                .iter()
                .enumerate()
                .filter(|(_, value)| value.is_finite() && **value > 0.0)
                .map(|(place, value)| (x(place), y(*value)))
                .collect();
            let line: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline class=\"line {class}{dashed}\" points=\"{}\"/>",
                line.join(" ")
            );
            for (x, y) in points {
                let _ = writeln!(
                    svg,
                    "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
                );
            }
            let at = LEFT + legend_gap * nth as f64;
            let _ = writeln!(
                svg,
                "<line class=\"line {class}{dashed}\" x1=\"{at:.1}\" x2=\"{:.1}\" y1=\"52\" y2=\"52\"/>\
                 <text x=\"{:.1}\" y=\"56.5\">{}</text>",
                at + 26.0,
                at + 32.0,
                series.name
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn power_below(value: f64) -> f64 {
    10_f64.powf(value.log10().floor())
}

fn nice_below(value: f64) -> f64 {
    let power = power_below(value);
    STEPS
        .iter()
        .rev()
        .map(|step| step * power)
        .find(|line| *line <= value)
        .unwrap_or(power)
}

fn nice_above(value: f64) -> f64 {
    let power = power_below(value);
    STEPS
        .iter()
        .map(|step| step * power)
        .find(|line| *line >= value)
        .unwrap_or(10.0 * power)
}

fn scale(low: f64, high: f64) -> Vec<f64> {
    let mut lines = Vec::new();
    let mut power = power_below(low);
    while power <= high * 1.001 {
        lines.extend(
            STEPS
                .iter()
                .map(|step| step * power)
                .filter(|line| *line >= low * 0.999 && *line <= high * 1.001),
        );
        power *= 10.0;
    }
    lines
}

/// `20000` as `20k`.
fn short(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{:.0}M", value / 1_000_000.0)
    } else if value >= 1_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value >= 1.0 {
        format!("{value:.0}")
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').to_owned()
    }
}
