//! The chart: for every measurement its main figures as bars on a logarithmic scale, and every target with how it was
//! met. Plain SVG, in colours that can be told apart without colour vision.

use std::fmt::Write as _;

use crate::figures::{Measurement, Ratio, Series, short};
use crate::machine::Machine;

const WIDTH: f64 = 960.0;
const LABEL: f64 = 400.0;
const BARS: f64 = 420.0;
const LINE: f64 = 20.0;
const OURS: &str = "#0072b2";
const OTHERS: &str = "#999999";
const MET: &str = "#009e73";
const MISSED: &str = "#d55e00";

/// Draws it.
pub fn draw(machine: &Machine, measurements: &[Measurement]) -> String {
    let mut chart = Chart { body: String::new(), y: 34.0 };
    chart.text(
        16.0,
        "start",
        "18",
        "#000",
        "Side by side, in one run: medians of the rounds, bars on a logarithmic scale; whiskers from least to most",
    );
    chart.line();
    let rustc = machine.versions.get("rustc").map_or("", String::as_str);
    let versions = format!("{}, {} cores, {}, {rustc}", machine.processor, machine.cores, machine.kernel);
    chart.text(16.0, "start", "12", "#555", &versions);
    chart.line();
    for measurement in measurements.iter().filter(|measurement| !measurement.series.is_empty()) {
        chart.measurement(measurement);
    }
    let height = chart.y + LINE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} \
         {height}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        chart.body
    )
}

struct Chart {
    body: String,
    y: f64,
}

impl Chart {
    fn line(&mut self) {
        self.y += LINE;
    }

    fn text(&mut self, x: f64, anchor: &str, size: &str, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{text}</text>",
            self.y
        );
    }

    fn measurement(&mut self, measurement: &Measurement) {
        self.y += LINE;
        let title = format!("({}) {}", measurement.key, measurement.title);
        self.text(16.0, "start", "15", "#000", &title);
        self.line();
        let mut whats: Vec<&str> = Vec::new();
        for series in measurement.series.iter().filter(|series| is_shown(series)) {
            if !whats.contains(&series.what.as_str()) {
                whats.push(&series.what);
            }
        }
        for what in whats {
            let group: Vec<&Series> =
                measurement.series.iter().filter(|series| series.what == what).collect();
            self.group(what, &group);
        }
        for ratio in &measurement.ratios {
            self.ratio(ratio);
        }
    }

    /// The bars of one figure share a scale: from a third of the smallest value to the largest.
    fn group(&mut self, what: &str, group: &[&Series]) {
        let least = group.iter().map(|series| series.least).fold(f64::INFINITY, f64::min).max(1e-9) / 3.0;
        let most = group.iter().map(|series| series.most).fold(0.0, f64::max).max(least * 3.0);
        let place = |value: f64| (value.max(least) / least).ln() / (most / least).ln() * BARS;
        self.text(16.0, "start", "12", "#333", &format!("{what}, {}", group[0].unit));
        self.line();
        for series in group {
            let colour =
                if series.party.starts_with("ours") || series.party == "emulator" { OURS } else { OTHERS };
            self.text(LABEL - 8.0, "end", "12", "#000", &series.party);
            let (length, from, to) = (place(series.median), place(series.least), place(series.most));
            let (top, middle) = (self.y - 11.0, self.y - 4.0);
            let _ = writeln!(
                self.body,
                "<rect x=\"{LABEL:.0}\" y=\"{top:.0}\" width=\"{length:.1}\" height=\"14\" fill=\"{colour}\"/>\n<path \
                 d=\"M{:.1} {middle:.0}H{:.1}\" stroke=\"#000\" stroke-width=\"1.5\"/>",
                LABEL + from,
                LABEL + to
            );
            self.text(LABEL + to.max(length) + 8.0, "start", "12", "#000", &short(series.median));
            self.line();
        }
    }

    fn ratio(&mut self, ratio: &Ratio) {
        let Some(met) = ratio.is_met() else { return };
        let (target, verdict) = ratio.verdict();
        let (colour, mark) = if met { (MET, "✓") } else { (MISSED, "✗") };
        let text = format!("{mark} {}: {} ({target}; {verdict})", ratio.what, short(ratio.value));
        self.text(32.0, "start", "12", colour, &text);
        self.line();
    }
}

/// Processor time, memory, latencies and rates by it; not what else was written down.
fn is_shown(series: &Series) -> bool {
    !series.what.starts_with("peak") && !series.what.starts_with("p99") && series.unit != "1/s"
        || series.what.contains("per second of CPU")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Target;

    #[test]
    fn every_shown_figure_has_a_bar_and_every_target_a_line() {
        let mut measurement = Measurement::new("a", "receiving & more");
        for (party, value) in [("ours", 2.0), ("theirs", 10.0)] {
            measurement.add(party, "CPU", "us", value);
            measurement.add(party, "peak memory", "MiB", value);
        }
        measurement.ratio(("theirs", "CPU"), ("ours", "CPU"), Target::AtLeast(6.0));
        let machine = Machine {
            processor: "a <b>".to_owned(),
            cores: 2,
            kernel: "linux".to_owned(),
            versions: std::collections::BTreeMap::default(),
        };
        let chart = draw(&machine, &[measurement]);
        assert_eq!(chart.matches("height=\"14\"").count(), 2);
        assert!(chart.contains("✗ CPU: theirs / ours: 5.00 (at least 6.00; missed by 20 %)"));
        assert!(chart.contains("receiving &amp; more") && chart.contains("a &lt;b>"));
    }
}
