//! The tables that are printed.

use std::fmt::Write as _;

use crate::figures::{Measurement, short};

/// The figures of a measurement, and what was left out of it.
pub fn figures(measurement: &Measurement) -> String {
    let mut out = format!("\n({}) {}\n", measurement.key, measurement.title);
    let width = measurement.series.iter().map(|series| series.party.chars().count()).max().unwrap_or(0);
    let what = measurement.series.iter().map(|series| series.what.chars().count()).max().unwrap_or(0);
    for series in &measurement.series {
        let _ = writeln!(
            out,
            "  {:<what$}  {:<width$}  {:>10} {:<4} ({} to {})",
            series.what,
            series.party,
            short(series.median),
            series.unit,
            short(series.least),
            short(series.most)
        );
    }
    for note in &measurement.notes {
        let _ = writeln!(out, "  skipped: {note}");
    }
    out
}

/// The ratios of all measurements against their targets, one a line.
pub fn ratios(measurements: &[Measurement]) -> String {
    let rows: Vec<[String; 4]> = measurements
        .iter()
        .flat_map(|measurement| measurement.ratios.iter().map(|ratio| (&measurement.key, ratio)))
        .map(|(key, ratio)| {
            let (target, verdict) = ratio.verdict();
            [format!("({key}) {}", ratio.what), short(ratio.value), target, verdict]
        })
        .collect();
    let head = ["what by what", "ratio", "target", ""].map(str::to_owned);
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (what, value, target) = (width(0), width(1), width(2));
    let mut out = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let line = format!("{:<what$}  {:>value$}  {:<target$}  {}", row[0], row[1], row[2], row[3]);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Target;

    #[test]
    fn ratios_stand_in_columns_with_their_verdicts() {
        let mut measurement = Measurement::new("a", "receiving");
        measurement.add("ours", "CPU", "us", 2.0);
        measurement.add("theirs", "CPU", "us", 10.0);
        measurement.ratio(("theirs", "CPU"), ("ours", "CPU"), Target::AtLeast(4.0));
        measurement.ratio(("ours", "CPU"), ("theirs", "CPU"), Target::None);
        let expected = "\
what by what                 ratio  target
(a) CPU: theirs / ours        5.00  at least 4.00  met
(a) CPU: ours / theirs       0.200
";
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let table = ratios(&[measurement]);
        assert_eq!(squeeze(&table), squeeze(expected));
        assert_eq!(table.lines().count(), 3);
    }
}
