//! A bar chart of the ratios to tokio, on a logarithmic scale, legible on light and dark pages.

use std::fmt::Write;

use crate::args::Plan;
use crate::peers::Runtime;
use crate::run::Compared;

const WIDTH: f64 = 760.0;
/// Left of the bars: the rows' names. Right of them: `tenter`'s ratios.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 14.0;
const ROW_HEIGHT: f64 = 30.0;
/// Height of the bars, `tenter`'s and smol's.
const BARS: [(Runtime, f64); 2] = [(Runtime::Tenter, 13.0), (Runtime::Smol, 6.0)];
/// The scale shows at least from 1/2 to 4, in powers of two, and at most this far each way.
const EXPONENT_MAX: i32 = 4;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.title{font-size:15px;font-weight:600}.note,.axis{fill:#59636e;font-size:11px}\
.value{font-size:11px;font-weight:600}\
.grid{stroke:#d1d9e0;stroke-width:1}.one{stroke:#1f2328;stroke-width:1.5}\
.tenter{fill:#0969da}.smol{fill:#afb8c1}.floor{stroke:#bc4c00;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note,.axis{fill:#9198a1}\
.grid{stroke:#3d444d}.one{stroke:#f0f6fc}.tenter{fill:#4493f8}.smol{fill:#656c76}\
.floor{stroke:#f0883e}}";

/// The chart, as a file of its own.
pub(crate) fn svg(plan: &Plan, rows: &[Compared]) -> String {
    let rows: Vec<&Compared> = rows.iter().filter(|row| has_bar(row)).collect();
    let scale = Scale::of(&rows);
    let height = TOP + ROW_HEIGHT * rows.len() as f64 + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>Ratio to tokio</title>\n\
         <style>{STYLE}</style>\n"
    );
    head(&mut svg, plan);
    grid(&mut svg, &scale, height);
    for (index, row) in rows.iter().enumerate() {
        bars(&mut svg, &scale, row, TOP + ROW_HEIGHT * index as f64);
    }
    line(&mut svg, "one", scale.x(1.0), TOP - 6.0, height - BOTTOM);
    svg.push_str("</svg>\n");
    svg
}

/// A row that aims at zero has no ratio worth a bar.
fn has_bar(row: &Compared) -> bool {
    row.row.target.is_some() && BARS.iter().any(|&(runtime, _)| ratio(row, runtime).is_some())
}

fn ratio(row: &Compared, runtime: Runtime) -> Option<f64> {
    row.ratio(runtime, row.row.metric)
}

/// Where a ratio is drawn.
struct Scale {
    /// The powers of two at the left and right end.
    exponents: [i32; 2],
}

impl Scale {
    fn of(rows: &[&Compared]) -> Scale {
        let ratios = rows.iter().flat_map(|row| BARS.map(|(runtime, _)| ratio(row, runtime)));
        let mut exponents = [-1, 2];
        for exponent in ratios.flatten().map(f64::log2) {
            exponents[0] = exponents[0].min(exponent.floor() as i32).max(-EXPONENT_MAX);
            exponents[1] = exponents[1].max(exponent.ceil() as i32).min(EXPONENT_MAX);
        }
        Scale { exponents }
    }

    /// Ratios beyond an end are drawn there.
    fn x(&self, ratio: f64) -> f64 {
        let [low, high] = self.exponents.map(f64::from);
        let share = (ratio.log2().clamp(low, high) - low) / (high - low);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

fn head(svg: &mut String, plan: &Plan) {
    text(svg, "title", "start", 12.0, 24.0, "How many times better than tokio");
    let note = format!(
        "processor time per operation (skewed: wall time, bytes_per_task: memory); {} workers, \
         medians of {} rounds",
        plan.workers, plan.rounds
    );
    text(svg, "note", "start", 12.0, 42.0, &note);
    let mut x = WIDTH - RIGHT - 190.0;
    for (runtime, _) in BARS {
        let name = runtime.name();
        rect(svg, name, x, 15.0, 12.0, 10.0);
        text(svg, "axis", "start", x + 17.0, 24.0, name);
        x += 70.0;
    }
    line(svg, "floor", x + 6.0, 13.0, 27.0);
    text(svg, "axis", "start", x + 17.0, 24.0, "floor, by hand");
}

fn grid(svg: &mut String, scale: &Scale, height: f64) {
    let [low, high] = scale.exponents;
    for exponent in low..=high {
        let ratio = 2f64.powi(exponent);
        let x = scale.x(ratio);
        line(svg, "grid", x, TOP - 6.0, height - BOTTOM);
        let label = if exponent == 0 { "tokio".to_owned() } else { format!("{ratio}×") };
        text(svg, "axis", "middle", x, TOP - 12.0, &label);
    }
}

fn bars(svg: &mut String, scale: &Scale, row: &Compared, top: f64) {
    let name = row.row.name;
    text(svg, "row", "end", LEFT - 10.0, top + 15.0, name);
    let one = scale.x(1.0);
    let mut y = top + 3.0;
    for (runtime, height) in BARS {
        if let Some(ratio) = ratio(row, runtime) {
            let end = scale.x(ratio);
            rect(svg, runtime.name(), end.min(one), y, (end - one).abs().max(1.0), height);
            if runtime == Runtime::Tenter {
                text(svg, "value", "end", WIDTH - 12.0, top + 15.0, &format!("{ratio:.2}×"));
            }
        }
        y += height + 1.0;
    }
    if let Some(ratio) = ratio(row, Runtime::Floor) {
        line(svg, "floor", scale.x(ratio), top + 2.0, top + 24.0);
    }
}

fn text(svg: &mut String, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
    writeln!(
        svg,
        "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    )
    .expect("a string can be written");
}

fn rect(svg: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\" rx=\"1.5\"/>"
    )
    .expect("a string can be written");
}

fn line(svg: &mut String, class: &str, x: f64, top: f64, bottom: f64) {
    writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
    )
    .expect("a string can be written");
}
