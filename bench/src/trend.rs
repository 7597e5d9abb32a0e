//! Linear regression.

/// Returns the slope of the least-squares line through points (time, value); `None` if there are fewer than two
/// different times.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut count = 0.0;
    let (mut time_sum, mut value_sum) = (0.0, 0.0);
    for (time, value) in points {
        count += 1.0;
        time_sum += time;
        value_sum += value;
    }
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (time, value) in points {
        let distance = time - time_sum / count;
        covariance += distance * (value - value_sum / count);
        variance += distance * distance;
    }
    (0.0 < variance).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_has_none() {
        let line: Vec<_> = (0..10).map(|n| (f64::from(n), 7.0 + 3.0 * f64::from(n))).collect();
        assert!((slope(&line).unwrap() - 3.0).abs() < 1e-9);
        let noise = [(0.0, 1.0), (1.0, -1.0), (2.0, -1.0), (3.0, 1.0)];
        assert!(slope(&noise).unwrap().abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0), (1.0, 6.0)]).is_none());
        assert!(slope(&[]).is_none());
    }
}
