//! Charts of bars, as SVG. Their colours are those of the light stylesheet, which replaces them in the dark. Nothing in them is a style
//! or a script, which the policy of the pages would refuse.

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, IntoSegmentedCoord, RGBColor, Rectangle,
    SVGBackend, SegmentValue, TRANSPARENT,
};

/// Narrow enough for a phone's screen, and read on a large one just as well.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 200;
/// Pixels between two bars.
const GAP: u32 = 1;
/// Labels below that have room.
const LABELS: usize = 8;

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

/// A bar for each value, with its label below.
pub(super) fn bars(bars: Bars, values: &[i64], labels: &[String]) -> String {
    match draw(bars, values, labels) {
        // Inside a page it is known to be SVG.
        Ok(svg) => svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1),
        Err(error) => {
            tracing::error!(%error, "a chart could not be drawn");
            String::new()
        }
    }
}

fn draw(
    bars: Bars,
    values: &[i64],
    labels: &[String],
) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    let Some(last) = values.len().checked_sub(1) else {
        return Ok(svg);
    };
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let text = ("sans-serif", 15).into_font().color(&TEXT);
    let shown_every = values.len().div_ceil(LABELS).max(1);
    let label = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(at) | SegmentValue::Exact(at)
            if (last - at.min(&last)).is_multiple_of(shown_every) =>
        {
            labels.get(*at).cloned().unwrap_or_default()
        }
        _ => String::new(),
    };
    let colour = match bars {
        Bars::Usual => USUAL,
        Bars::Bad => BAD,
    };
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
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
            .x_labels(values.len())
            .x_label_formatter(&label)
            .y_labels(4)
            .draw()?;
        chart.draw_series(values.iter().enumerate().map(|(at, value)| {
            let corners = [
                (SegmentValue::Exact(at), 0),
                (SegmentValue::Exact(at + 1), *value),
            ];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(0, 0, GAP, GAP);
            bar
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

    #[test]
    fn a_bar_stands_for_each_value_and_the_last_one_has_its_label() {
        let svg = bars(Bars::Usual, &[3, 0, 7], &labels(3));
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
        let day = bars(Bars::Bad, &[1; 24], &labels(24));
        assert!(day.contains("23:00") && day.contains("20:00") && !day.contains("22:00"));
    }

    #[test]
    fn a_chart_has_nothing_that_the_policy_refuses() {
        for values in [&[][..], &[0], &[1_000_000_000], &[1, 2, 3]] {
            let svg = bars(Bars::Usual, values, &labels(values.len()));
            for part in ["style", "<script", "http", "href"] {
                assert!(!svg.contains(part), "{svg}");
            }
        }
    }
}
