//! Bar charts of the ratios to the baseline, one a group, on a logarithmic scale, legible on light
//! and dark pages.

use std::fmt::Write;

use crate::args::Plan;
use crate::peers::Runtime;
use crate::report::markdown::{label, note};
use crate::rows::{Group, Target};
use crate::run::Compared;
use crate::sample::Metric;

const WIDTH: f64 = 760.0;
/// Left of the bars: the rows' names. Right of them: `tenter`'s ratios.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 14.0;
const ROW_HEIGHT: f64 = 30.0;
/// Height of the bars, `tenter`'s and the other's.
const BAR_HEIGHTS: [f64; 2] = [13.0, 6.0];
/// The scale shows at least from 1/2 to 4, in powers of two, and at most this far each way.
const EXPONENT_MAX: i32 = 4;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.title{font-size:15px;font-weight:600}.note,.axis{fill:#59636e;font-size:11px}\
.value{font-size:11px;font-weight:600}\
.grid{stroke:#d1d9e0;stroke-width:1}.one{stroke:#1f2328;stroke-width:1.5}\
.tenter{fill:#0969da}.smol,.python{fill:#afb8c1}.floor{stroke:#bc4c00;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note,.axis{fill:#9198a1}\
.grid{stroke:#3d444d}.one{stroke:#f0f6fc}.tenter{fill:#4493f8}.smol,.python{fill:#656c76}\
.floor{stroke:#f0883e}}";

/// The charts, as a file of their own.
pub(crate) fn svg(plan: &Plan, rows: &[Compared]) -> String {
    let charts = Group::ALL.map(|group| Chart::of(group, rows));
    let charts: Vec<&Chart<'_>> = charts.iter().filter(|chart| !chart.rows.is_empty()).collect();
    let height: f64 = charts.iter().map(|chart| chart.height()).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>How many times better</title>\n\
         <style>{STYLE}</style>\n"
    );
    let mut top = 0.0;
    for chart in charts {
        writeln!(svg, "<g transform=\"translate(0,{top})\">").expect("a string can be written");
        chart.draw(&mut svg, plan);
        svg.push_str("</g>\n");
        top += chart.height();
    }
    svg.push_str("</svg>\n");
    svg
}

/// The chart of a group.
struct Chart<'a> {
    group: Group,
    rows: Vec<ChartRow<'a>>,
}

/// One metric of a row.
struct ChartRow<'a> {
    compared: &'a Compared,
    metric: Metric,
}

impl ChartRow<'_> {
    fn ratio(&self, runtime: Runtime) -> Option<f64> {
        self.compared.ratio(runtime, self.metric)
    }

    fn name(&self) -> String {
        let name = self.compared.row.name;
        match self.compared.row.group() {
            Group::Runtimes => format!("{name}{}", note(self.metric)),
            Group::Processes => format!("{name} {}", label(self.metric)),
        }
    }
}

impl Chart<'_> {
    fn of(group: Group, rows: &[Compared]) -> Chart<'_> {
        let mut chart = Chart { group, rows: Vec::new() };
        for compared in rows.iter().filter(|compared| compared.row.group() == group) {
            // One that aims at zero has no ratio worth a bar.
            let goals = compared.row.goals.iter().filter(|goal| goal.target != Target::Zero);
            chart.rows.extend(goals.map(|goal| ChartRow { compared, metric: goal.metric }));
        }
        let bars = chart.bars();
        chart.rows.retain(|row| bars.iter().any(|&(runtime, _)| row.ratio(runtime).is_some()));
        chart
    }

    /// Who has a bar, and how high it is.
    fn bars(&self) -> [(Runtime, f64); 2] {
        let other = match self.group {
            Group::Runtimes => Runtime::Smol,
            Group::Processes => Runtime::Python,
        };
        [(Runtime::Tenter, BAR_HEIGHTS[0]), (other, BAR_HEIGHTS[1])]
    }

    fn height(&self) -> f64 {
        TOP + ROW_HEIGHT * self.rows.len() as f64 + BOTTOM
    }

    fn draw(&self, svg: &mut String, plan: &Plan) {
        let scale = Scale::of(self);
        self.head(svg, plan);
        self.grid(svg, &scale);
        for (index, row) in self.rows.iter().enumerate() {
            self.bars_of(svg, &scale, row, TOP + ROW_HEIGHT * index as f64);
        }
        line(svg, "one", scale.x(1.0), TOP - 6.0, self.height() - BOTTOM);
    }

    fn head(&self, svg: &mut String, plan: &Plan) {
        let title = format!("How many times better than {}", self.group.baseline().name());
        text(svg, "title", "start", 12.0, 24.0, &title);
        let what = match self.group {
            Group::Runtimes => {
                "processor time per operation (skewed: wall time, bytes_per_task: memory)"
            }
            Group::Processes => "jobs in worker processes",
        };
        let note = format!("{what}; {} workers, medians of {} rounds", plan.workers, plan.rounds);
        text(svg, "note", "start", 12.0, 42.0, &note);
        let mut x = WIDTH - RIGHT - 190.0;
        for (runtime, _) in self.bars() {
            let name = runtime.name();
            rect(svg, name, x, 15.0, 12.0, 10.0);
            text(svg, "axis", "start", x + 17.0, 24.0, name);
            x += 70.0;
        }
        line(svg, "floor", x + 6.0, 13.0, 27.0);
        text(svg, "axis", "start", x + 17.0, 24.0, "floor, by hand");
    }

    fn grid(&self, svg: &mut String, scale: &Scale) {
        let [low, high] = scale.exponents;
        for exponent in low..=high {
            let ratio = 2f64.powi(exponent);
            let x = scale.x(ratio);
            line(svg, "grid", x, TOP - 6.0, self.height() - BOTTOM);
            let name = self.group.baseline().name();
            let label = if exponent == 0 { name.to_owned() } else { format!("{ratio}×") };
            text(svg, "axis", "middle", x, TOP - 12.0, &label);
        }
    }

    fn bars_of(&self, svg: &mut String, scale: &Scale, row: &ChartRow<'_>, top: f64) {
        text(svg, "row", "end", LEFT - 10.0, top + 15.0, &row.name());
        let one = scale.x(1.0);
        let mut y = top + 3.0;
        for (runtime, height) in self.bars() {
            if let Some(ratio) = row.ratio(runtime) {
                let end = scale.x(ratio);
                rect(svg, runtime.name(), end.min(one), y, (end - one).abs().max(1.0), height);
                if runtime == Runtime::Tenter {
                    text(svg, "value", "end", WIDTH - 12.0, top + 15.0, &format!("{ratio:.2}×"));
                }
            }
            y += height + 1.0;
        }
        if let Some(ratio) = row.ratio(Runtime::Floor) {
            line(svg, "floor", scale.x(ratio), top + 2.0, top + 24.0);
        }
    }
}

/// Where a ratio is drawn.
struct Scale {
    /// The powers of two at the left and right end.
    exponents: [i32; 2],
}

impl Scale {
    fn of(chart: &Chart<'_>) -> Scale {
        let bars = chart.bars();
        let ratios = chart.rows.iter().flat_map(|row| bars.map(|(runtime, _)| row.ratio(runtime)));
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
