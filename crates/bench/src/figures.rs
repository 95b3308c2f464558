//! What was measured: series with their medians, and ratios with their targets.

use serde::Serialize;

/// One figure of one party, over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Whose figure it is.
    pub party: String,
    /// What was measured.
    pub what: String,
    /// Its unit.
    pub unit: String,
    /// The values, one for each round.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Where a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
    /// Only told.
    None,
}

/// One median by another.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// What by what.
    pub what: String,
    /// The ratio, or the value itself where the target is one.
    pub value: f64,
    /// Where it should be.
    pub target: Target,
}

impl Ratio {
    /// Whether the target is met, where there is one.
    pub fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(most) => Some(self.value <= most),
            Target::AtLeast(least) => Some(self.value >= least),
            Target::None => None,
        }
    }

    /// The target and how it was met, in words.
    pub fn verdict(&self) -> (String, String) {
        let verdict = |target: f64, factor: f64| {
            match self.is_met() {
                Some(true) => "met".to_owned(),
                _ if factor < 2.0 => format!("missed by {:.0} %", (factor - 1.0) * 100.0),
                _ => format!("missed by a factor of {}", short(factor)),
            }
            .replace("by 0 %", &format!("by less than 1 % of {}", short(target)))
        };
        match self.target {
            Target::AtMost(most) => (format!("at most {}", short(most)), verdict(most, self.value / most)),
            Target::AtLeast(least) => {
                (format!("at least {}", short(least)), verdict(least, least / self.value))
            }
            Target::None => (String::new(), String::new()),
        }
    }
}

/// Three digits that count.
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// One of the measurements.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measurement {
    /// `a`, `b` and so on.
    pub key: String,
    /// What it is about.
    pub title: String,
    /// The figures.
    pub series: Vec<Series>,
    /// And what they say.
    pub ratios: Vec<Ratio>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Measurement {
    /// An empty one.
    pub fn new(key: &str, title: &str) -> Self {
        Self { key: key.to_owned(), title: title.to_owned(), ..Self::default() }
    }

    /// Adds the value of a round.
    pub fn add(&mut self, party: &str, what: &str, unit: &str, value: f64) {
        if !value.is_finite() {
            return;
        }
        let at = self.series.iter().position(|series| series.party == party && series.what == what);
        let at = at.unwrap_or_else(|| {
            let (party, what, unit) = (party.to_owned(), what.to_owned(), unit.to_owned());
            self.series.push(Series {
                party,
                what,
                unit,
                values: vec![],
                median: 0.0,
                least: 0.0,
                most: 0.0,
            });
            self.series.len() - 1
        });
        let series = &mut self.series[at];
        series.values.push(value);
        let mut sorted = series.values.clone();
        sorted.sort_by(f64::total_cmp);
        series.median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        series.least = sorted[0];
        series.most = sorted[sorted.len() - 1];
    }

    /// A median.
    pub fn median(&self, party: &str, what: &str) -> Option<f64> {
        let series = self.series.iter().find(|series| series.party == party && series.what == what)?;
        Some(series.median)
    }

    /// Adds a ratio of two figures, if both are there.
    pub fn ratio(&mut self, over: (&str, &str), under: (&str, &str), target: Target) {
        let (Some(above), Some(below)) = (self.median(over.0, over.1), self.median(under.0, under.1)) else {
            return;
        };
        let what = if over.1 == under.1 {
            format!("{}: {} / {}", over.1, over.0, under.0)
        } else {
            format!("{} of {} / {} of {}", over.1, over.0, under.1, under.0)
        };
        self.ratios.push(Ratio { what, value: above / below, target });
    }

    /// Adds a figure that has a target of its own, if it is there.
    pub fn bound(&mut self, party: &str, what: &str, unit: &str, target: Target) {
        if let Some(value) = self.median(party, what) {
            self.ratios.push(Ratio { what: format!("{what}: {party}, {unit}"), value, target });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(values: &[(&str, f64)]) -> Measurement {
        let mut measurement = Measurement::new("a", "a");
        for (party, value) in values {
            measurement.add(party, "CPU", "us", *value);
        }
        measurement
    }

    #[test]
    fn the_median_of_an_even_number_of_rounds_is_between_the_middle_two() {
        let measurement = measured(&[("ours", 4.0), ("ours", 1.0), ("ours", 2.0), ("ours", 9.0)]);
        assert_eq!(measurement.median("ours", "CPU"), Some(3.0));
        assert_eq!((measurement.series[0].least, measurement.series[0].most), (1.0, 9.0));
    }

    #[test]
    fn a_missed_target_says_by_how_much() {
        let mut measurement = measured(&[("ours", 3.0), ("floor", 2.0), ("theirs", 4.0)]);
        measurement.ratio(("ours", "CPU"), ("floor", "CPU"), Target::AtMost(1.2));
        measurement.ratio(("theirs", "CPU"), ("ours", "CPU"), Target::AtLeast(4.0));
        measurement.ratio(("nobody", "CPU"), ("ours", "CPU"), Target::AtLeast(4.0));
        let verdicts: Vec<_> = measurement.ratios.iter().map(Ratio::verdict).collect();
        assert_eq!(verdicts[0], ("at most 1.20".to_owned(), "missed by 25 %".to_owned()));
        assert_eq!(verdicts[1], ("at least 4.00".to_owned(), "missed by a factor of 3.00".to_owned()));
        assert_eq!(verdicts.len(), 2);
    }

    #[test]
    fn a_met_target_is_met_at_its_very_value() {
        let ratio = |value, target| Ratio { what: String::new(), value, target };
        assert_eq!(ratio(1.1, Target::AtMost(1.1)).is_met(), Some(true));
        assert_eq!(ratio(4.4, Target::AtLeast(4.5)).is_met(), Some(false));
        assert_eq!(ratio(4.4, Target::None).is_met(), None);
    }
}
