//! Draws charts as SVG.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::Failure;
use crate::report::Chart;

const SIZE: (u32, u32) = (800, 400);
const COLORS: [RGBColor; 4] =
    [RGBColor(31, 97, 141), RGBColor(192, 57, 43), RGBColor(30, 132, 73), RGBColor(125, 60, 152)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn draw(chart: &Chart) -> Result<String, Failure> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        match (chart.bars.is_empty(), chart.logarithmic) {
            (false, _) => draw_bars(&area, chart)?,
            (true, true) => {
                let (least, most) = span(chart);
                draw_lines(&area, chart, (least.max(f64::MIN_POSITIVE)..most).log_scale())?;
            }
            (true, false) => {
                let (_, most) = span(chart);
                draw_lines(&area, chart, 0.0..most)?;
            }
        }
        area.present()?;
    }
    Ok(text + "\n")
}

/// Returns the lowest and the highest x.
fn span(chart: &Chart) -> (f64, f64) {
    let x = || chart.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x);
    (x().fold(f64::MAX, f64::min), x().fold(0.0, f64::max))
}

/// Formats a number with up to three decimals, without trailing zeros.
fn format_number(value: &f64) -> String {
    ((value * 1e3).round() / 1e3).to_string()
}

/// Returns the end of the scale of y, a little above the highest value.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max) * 1.1
}

fn draw_lines<X>(area: &Area<'_>, chart: &Chart, x: X) -> Result<(), Failure>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let most = top(chart.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y));
    let mut drawn = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(x, 0.0..most)?;
    drawn
        .configure_mesh()
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_label_formatter(&format_number)
        .y_label_formatter(&format_number)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (line, color) in chart.lines.iter().zip(COLORS.iter().cycle()) {
        drawn
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    drawn.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    Ok(())
}

fn draw_bars(area: &Area<'_>, chart: &Chart) -> Result<(), Failure> {
    let most = top(chart.bars.iter().map(|(_, value)| *value));
    let names: Vec<String> = chart.bars.iter().map(|(name, _)| name.clone()).collect();
    let mut drawn = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((0..names.len()).into_segmented(), 0.0..most)?;
    let name = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(n) => names.get(*n).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    drawn
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(names.len())
        .x_label_formatter(&name)
        .y_desc(&chart.y)
        .y_label_formatter(&format_number)
        .light_line_style(TRANSPARENT)
        .draw()?;
    let values = chart.bars.iter().enumerate();
    let bar = |(n, (_, value)): (usize, &(String, f64))| {
        let corners = [(SegmentValue::Exact(n), 0.0), (SegmentValue::Exact(n + 1), *value)];
        let mut bar = Rectangle::new(corners, COLORS[0].filled());
        bar.set_margin(0, 0, 12, 12);
        bar
    };
    drawn.draw_series(values.map(bar))?;
    Ok(())
}
