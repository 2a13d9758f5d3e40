//! Charts of bars, as SVG. Their colours are those of the light stylesheet, which replaces them in the dark. Nothing in them is a style
//! or a script, which the policy of the pages would refuse.

use std::fmt::Write as _;

use plotters::{
    prelude::{
        ChartBuilder, Color, IntoDrawingArea, IntoFont, IntoSegmentedCoord, RGBColor, Rectangle,
        SVGBackend, SegmentValue, TRANSPARENT, Text,
    },
    style::text_anchor::{HPos, Pos, VPos},
};

/// Narrow enough for a phone's screen, and read on a large one just as well.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 200;
/// Pixels between two bars.
const GAP: u32 = 1;
/// The height of a number above a bar, and the width of its digits.
const NUMBER: u32 = 12;
const DIGIT: usize = 6;
/// What the axis at the left leaves of the width.
const PLOT: usize = 400;
/// Labels below that have room, also as large as console.css makes them on a phone.
const LABELS: usize = 6;

// As in assets/console.css.
const TEXT: RGBColor = RGBColor(0x56, 0x65, 0x75);
const GRID: RGBColor = RGBColor(0xd8, 0xdf, 0xe6);
const AXIS: RGBColor = RGBColor(0x85, 0x93, 0xa1);
const USUAL: RGBColor = RGBColor(0x14, 0x67, 0xb3);
const BAD: RGBColor = RGBColor(0xa8, 0x20, 0x1a);

/// What a chart's bars are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bars {
    Usual,
    Bad,
}

/// One of them.
pub(super) struct Bar<'a> {
    pub value: i64,
    /// Below it, where there is room.
    pub label: &'a str,
    /// What a mouse over it is told.
    pub title: String,
}

/// A bar for each value, with its label below and its number above.
pub(super) fn bars(kind: Bars, all: &[Bar<'_>]) -> String {
    match draw(kind, all) {
        // Inside a page it is known to be SVG.
        Ok(svg) => titled(
            &svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1),
            kind,
            all,
        ),
        Err(error) => {
            tracing::error!(%error, "a chart could not be drawn");
            String::new()
        }
    }
}

/// Gives each bar its title: the library draws them in their order, and nothing else in their colour.
fn titled(svg: &str, kind: Bars, all: &[Bar<'_>]) -> String {
    let RGBColor(red, green, blue) = kind.colour();
    let colour = format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"");
    let mut titles = all.iter().map(|bar| &bar.title);
    let mut out = String::with_capacity(svg.len());
    for line in svg.split_inclusive('\n') {
        let bar = line.trim_end().strip_suffix("/>");
        match bar.filter(|bar| bar.starts_with("<rect") && bar.contains(&colour)) {
            Some(bar) => {
                let title = titles.next().map_or("", String::as_str);
                let _ = writeln!(out, "{bar}><title>{}</title></rect>", escape(title));
            }
            None => out.push_str(line),
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

impl Bars {
    fn colour(self) -> RGBColor {
        match self {
            Self::Usual => USUAL,
            Self::Bad => BAD,
        }
    }
}

fn draw(kind: Bars, all: &[Bar<'_>]) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    let Some(last) = all.len().checked_sub(1) else {
        return Ok(svg);
    };
    let most = all.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let text = ("sans-serif", 15).into_font().color(&TEXT);
    let shown_every = all.len().div_ceil(LABELS).max(1);
    let label = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(at) | SegmentValue::Exact(at)
            if (last - at.min(&last)).is_multiple_of(shown_every) =>
        {
            all.get(*at).map_or("", |bar| bar.label).to_owned()
        }
        _ => String::new(),
    };
    let colour = kind.colour();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_top(NUMBER)
            // Half of the last label.
            .margin_right(16)
            .x_label_area_size(28)
            .y_label_area_size(58)
            .build_cartesian_2d(
                (0..last).into_segmented(),
                0..most.saturating_add(most / 20),
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS)
            .label_style(text)
            .x_labels(all.len())
            .x_label_formatter(&label)
            .y_labels(4)
            .draw()?;
        chart.draw_series(all.iter().enumerate().map(|(at, bar)| {
            let corners = [
                (SegmentValue::Exact(at), 0),
                (SegmentValue::Exact(at + 1), bar.value),
            ];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(0, 0, GAP, GAP);
            bar
        }))?;
        // Over each bar where all have room, else over the highest.
        let widest = most.to_string().len() * DIGIT;
        let has_room = widest * all.len() <= PLOT;
        let number = ("sans-serif", NUMBER)
            .into_font()
            .color(&TEXT)
            .pos(Pos::new(HPos::Center, VPos::Bottom));
        let numbered = all.iter().enumerate();
        let numbered = numbered.filter(|(_, bar)| bar.value > 0 && (has_room || bar.value == most));
        chart.draw_series(numbered.map(|(at, bar)| {
            let above = (SegmentValue::CenterOf(at), bar.value);
            Text::new(bar.value.to_string(), above, number.clone())
        }))?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:02}:00")).collect()
    }

    fn drawn(kind: Bars, values: &[i64]) -> String {
        let labels = labels(values.len());
        let all = values.iter().zip(&labels);
        let all: Vec<Bar<'_>> = all
            .map(|(value, label)| Bar {
                value: *value,
                label,
                title: format!("{label} <{value}>"),
            })
            .collect();
        bars(kind, &all)
    }

    #[test]
    fn a_bar_stands_for_each_value_and_the_last_one_has_its_label() {
        let svg = drawn(Bars::Usual, &[3, 0, 7]);
        let heights: Vec<&str> = svg
            .split("fill=\"#1467B3\"")
            .map(|bar| bar.rsplit_once("height=\"").map_or("", |(_, rest)| rest))
            .map(|rest| rest.split('"').next().unwrap_or_default())
            .collect();
        assert_eq!(heights.len(), 4, "{svg}");
        let height = |at: usize| heights[at].parse::<i32>().expect("a height");
        assert!(height(2) > 2 * height(0) && height(0) > 0, "{svg}");
        for label in labels(3) {
            assert!(svg.contains(&label), "{svg}");
        }
        let day = drawn(Bars::Bad, &[1; 24]);
        assert!(day.contains("23:00\n") && day.contains("19:00\n") && !day.contains("20:00\n"));
    }

    #[test]
    fn a_number_stands_above_each_bar_and_a_mouse_over_it_is_told_what_it_is() {
        let svg = drawn(Bars::Usual, &[3, 0, 17]);
        for title in ["00:00 &lt;3>", "01:00 &lt;0>", "02:00 &lt;17>"] {
            assert!(
                svg.contains(&format!("<title>{title}</title></rect>")),
                "{svg}"
            );
        }
        let has_number = |svg: &str, number: &str| svg.contains(&format!("\n{number}\n</text>"));
        assert!(has_number(&svg, "17") && has_number(&svg, "3"), "{svg}");
        // Of numbers that have no room the highest one.
        let mut values = [12_345; 24];
        values[5] = 54_321;
        let svg = drawn(Bars::Usual, &values);
        assert!(
            has_number(&svg, "54321") && !has_number(&svg, "12345"),
            "{svg}"
        );
    }

    #[test]
    fn a_chart_has_nothing_that_the_policy_refuses() {
        for values in [&[][..], &[0], &[1_000_000_000], &[1, 2, 3]] {
            let svg = drawn(Bars::Usual, values);
            for part in ["style", "<script", "http", "href"] {
                assert!(!svg.contains(part), "{svg}");
            }
        }
    }
}
