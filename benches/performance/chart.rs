//! Line charts as SVG: evenly spaced sizes along, a logarithmic scale up, legible in light and in dark.

use aqua_orders::load::Error;
use plotters::prelude::{
    BindKeyPoints, ChartBuilder, Circle, Color, DashedLineSeries, IntoDrawingArea, IntoFont,
    IntoLogRange, IntoSegmentedCoord, LineSeries, PathElement, RGBColor, SVGBackend, SegmentValue,
    SeriesLabelPosition,
};

const SIZE: (u32, u32) = (760, 420);

const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);
const TEXT: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
const LINES: [RGBColor; 2] = [RGBColor(0x0a, 0x6f, 0xc2), RGBColor(0xc4, 0x58, 0x0a)];
/// The same in the dark.
const DARK: [(RGBColor, &str); 5] = [
    (GROUND, "#0d1117"),
    (TEXT, "#e6edf3"),
    (GRID, "#30363d"),
    (LINES[0], "#58a6ff"),
    (LINES[1], "#f0883e"),
];

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
    /// Which of the two colours.
    pub colour: usize,
    pub dashed: bool,
    /// One for each place.
    pub values: Vec<f64>,
}

impl Chart<'_> {
    /// Draws it.
    pub fn svg(&self) -> Result<String, Error> {
        let values = || self.series.iter().flat_map(|series| series.values.iter());
        let low = values().copied().fold(f64::MAX, f64::min) * 0.7;
        let high = values().copied().fold(f64::MIN_POSITIVE, f64::max) * 1.4;
        let text = |size: u32| ("sans-serif", size).into_font().color(&TEXT);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&GROUND)?;
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .caption(self.title, text(18))
                .x_label_area_size(46)
                .y_label_area_size(66)
                .build_cartesian_2d(
                    (0..self.places.len().saturating_sub(1)).into_segmented(),
                    (low..high).log_scale().with_key_points(scale(low, high)),
                )?;
            let place = |at: &SegmentValue<usize>| match at {
                SegmentValue::CenterOf(at) => self.places.get(*at).cloned().unwrap_or_default(),
                _ => String::new(),
            };
            chart
                .configure_mesh()
                .disable_x_mesh()
                .bold_line_style(GRID)
                .light_line_style(GROUND)
                .axis_style(TEXT)
                .label_style(text(14))
                .axis_desc_style(text(14))
                .x_desc(self.along)
                .y_desc(self.up)
                .x_labels(self.places.len())
                .x_label_formatter(&place)
                .y_label_formatter(&|value| short(*value))
                .draw()?;
            for series in &self.series {
                let style = LINES[series.colour % LINES.len()].stroke_width(2);
                let points = || {
                    let values = series.values.iter().enumerate();
                    values.map(|(place, value)| (SegmentValue::CenterOf(place), *value))
                };
                let drawn = if series.dashed {
                    chart.draw_series(DashedLineSeries::new(points(), 7, 5, style))?
                } else {
                    chart.draw_series(LineSeries::new(points(), style))?
                };
                let length = if series.dashed { 10 } else { 22 };
                drawn
                    .label(series.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + length, y)], style));
                chart.draw_series(points().map(|at| Circle::new(at, 3, style.filled())))?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .label_font(text(14))
                .draw()?;
            area.present()?;
        }
        Ok(with_dark(&svg))
    }
}

/// 1, 2 and 5 of each power of ten in between.
fn scale(low: f64, high: f64) -> Vec<f64> {
    let powers = (-6..9).map(|power| 10_f64.powi(power));
    let lines = powers.flat_map(|power| [power, 2.0 * power, 5.0 * power]);
    lines.filter(|line| (low..high).contains(line)).collect()
}

/// With its colours of the dark, where its reader has it dark.
fn with_dark(svg: &str) -> String {
    let rules = DARK.map(|(RGBColor(red, green, blue), dark)| {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    });
    let style = format!(
        "<style>@media (prefers-color-scheme:dark){{{}}}</style>",
        rules.concat()
    );
    svg.replacen('>', &format!(">\n{style}"), 1)
}

/// `20000` as `20k`.
fn short(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{:.0}M", value / 1_000_000.0)
    } else if value >= 1_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else {
        format!("{value}")
    }
}
