//! Selects series of a chart: by metric, by label, or those with the largest values.

use std::collections::{BTreeMap, BTreeSet};

use super::ApiError;
use crate::domain::family::Family;

/// Which series of a family are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesFilter {
    /// Names of metrics; empty for all.
    metrics: Vec<String>,
    /// Labels with their values; one of the values of each label must match.
    labels: BTreeMap<String, BTreeSet<String>>,
    /// How many series, by which metric.
    top: Option<(usize, String)>,
}

/// What a filter looks at in a series.
pub(super) struct Candidate<'a> {
    /// The metric.
    pub(super) metric: &'a str,
    /// The labels.
    pub(super) labels: Option<&'a BTreeMap<String, String>>,
    /// The average of each bucket.
    pub(super) avg: &'a [Option<f64>],
}

impl SeriesFilter {
    /// Checks the parameters of a request. Without `by`, `top` ranks by the family's first metric.
    ///
    /// # Errors
    /// If the family has no such metric or label, or a label is not `name:value`.
    pub(super) fn new(
        family: Family,
        metrics: Vec<String>,
        labels: &[String],
        top: Option<u16>,
        by: Option<String>,
    ) -> Result<Self, ApiError> {
        let known: Vec<&str> = family.metrics().iter().map(|metric| metric.name).collect();
        let check = |parameter: &str, name: &str| {
            let message = || format!("must be a metric of {}: {}", family.name(), known.join(", "));
            if known.contains(&name) { Ok(()) } else { Err(ApiError::unprocessable(parameter, &message())) }
        };
        metrics.iter().try_for_each(|metric| check("metric", metric))?;
        by.iter().try_for_each(|metric| check("by", metric))?;
        if by.is_some() && top.is_none() {
            return Err(ApiError::unprocessable("by", "needs `top`"));
        }
        let names: Vec<&str> = family
            .declaration()
            .series
            .iter()
            .flat_map(|series| series.labels)
            .map(|label| label.api_name)
            .collect();
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for label in labels {
            match label.split_once(':') {
                Some((name, value)) if names.contains(&name) => {
                    wanted.entry(name.to_owned()).or_default().insert(value.to_owned());
                }
                _ => {
                    let message = format!(
                        "must be `name:value` with a label of {}: {}",
                        family.name(),
                        names.join(", ")
                    );
                    return Err(ApiError::unprocessable("label", &message));
                }
            }
        }
        let by = by.or_else(|| known.first().map(|name| (*name).to_owned()));
        let top = top.zip(by).map(|(top, by)| (usize::from(top), by));
        Ok(Self { metrics, labels: wanted, top })
    }

    /// Returns which of the series are wanted, by their position.
    pub(super) fn wanted(&self, series: &[Candidate<'_>]) -> Vec<bool> {
        let top = self.top.as_ref().map(|(top, by)| self.top_of(series, *top, by));
        let is_wanted = |series: &Candidate<'_>| {
            self.has_labels(series)
                && (self.metrics.is_empty() || self.metrics.iter().any(|metric| metric == series.metric))
                && top.as_ref().is_none_or(|top| series.labels.is_none_or(|labels| top.contains(labels)))
        };
        series.iter().map(is_wanted).collect()
    }

    fn has_labels(&self, series: &Candidate<'_>) -> bool {
        let label = |name: &String| series.labels.and_then(|labels| labels.get(name));
        self.labels.iter().all(|(name, values)| label(name).is_some_and(|value| values.contains(value)))
    }

    /// Returns the labels of the series with the largest mean of a metric.
    fn top_of<'a>(
        &self,
        series: &[Candidate<'a>],
        top: usize,
        by: &str,
    ) -> BTreeSet<&'a BTreeMap<String, String>> {
        let of_metric = series.iter().filter(|series| series.metric == by && self.has_labels(series));
        let mut ranked: Vec<(f64, &BTreeMap<String, String>)> =
            of_metric.filter_map(|series| Some((mean(series.avg)?, series.labels?))).collect();
        ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        ranked.into_iter().take(top).map(|(_, labels)| labels).collect()
    }
}

/// Returns the mean of the buckets that have a value.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand buckets")]
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(filter: &SeriesFilter) -> Vec<bool> {
        let labels = |name: &str| BTreeMap::from([("mountPoint".to_owned(), name.to_owned())]);
        let names = [labels("/"), labels("/srv")];
        let values = [[Some(1.0), None], [Some(5.0), Some(7.0)]];
        let all = ["usagePercent", "usedBytes"].map(|metric| {
            [0, 1].map(|index| Candidate { metric, labels: Some(&names[index]), avg: &values[index] })
        });
        filter.wanted(all.as_flattened())
    }

    fn filter(metric: Option<&str>, label: Option<&str>, top: Option<u16>) -> SeriesFilter {
        let strings = |text: Option<&str>| text.map(ToOwned::to_owned).into_iter().collect::<Vec<_>>();
        SeriesFilter::new(Family::Disk, strings(metric), &strings(label), top, None).unwrap()
    }

    #[test]
    fn series_are_selected_by_metric_label_and_rank() {
        assert_eq!(wanted(&filter(None, None, None)), [true; 4]);
        assert_eq!(wanted(&filter(Some("usedBytes"), None, None)), [false, false, true, true]);
        assert_eq!(wanted(&filter(None, Some("mountPoint:/"), None)), [true, false, true, false]);
        assert_eq!(wanted(&filter(None, None, Some(1))), [false, true, false, true]);
        assert_eq!(wanted(&filter(None, Some("mountPoint:/"), Some(1))), [true, false, true, false]);
    }

    #[test]
    fn what_the_family_lacks_is_refused() {
        let refused = |metrics: &[&str], labels: &[&str], by: Option<&str>| {
            let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let by = by.map(ToOwned::to_owned);
            SeriesFilter::new(Family::Disk, strings(metrics), &strings(labels), None, by).is_err()
        };
        assert!(!refused(&["usagePercent"], &["mountPoint:/:"], None));
        assert!(refused(&["load1"], &[], None));
        assert!(refused(&[], &["mountPoint"], None));
        assert!(refused(&[], &["interface:eth0"], None));
        assert!(refused(&[], &[], Some("usagePercent")), "it ranks nothing");
    }
}
