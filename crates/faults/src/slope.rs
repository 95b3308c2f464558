//! How fast something grows: least squares.

/// The slope of the line that fits these points best, in units of `y` for one of `x`; 0 for fewer than two places.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 samples")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if points.len() < 2 || spread == 0.0 { 0.0 } else { together / spread }
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_line_has_its_slope_whatever_it_begins_with() {
        let line: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), 7.0 + 0.25 * f64::from(n))).collect();
        assert!((slope(&line) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn noise_that_goes_nowhere_has_none() {
        let noise: Vec<(f64, f64)> =
            (0..1000).map(|n| (f64::from(n), if n % 2 == 0 { 0.0 } else { 1.0 })).collect();
        assert!(slope(&noise).abs() < 1e-4);
    }

    #[test]
    fn a_point_or_none_has_no_slope() {
        assert!(slope(&[]).abs() < f64::EPSILON && slope(&[(1.0, 2.0)]).abs() < f64::EPSILON);
        assert!(slope(&[(1.0, 2.0), (1.0, 3.0)]).abs() < f64::EPSILON);
    }
}
