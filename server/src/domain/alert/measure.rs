//! What metric conditions examine: metrics as they are stored, and values derived from two of them.
//!
//! A derived value is computed from the two metrics' values in the same window, and so for every tier and for the past as
//! well. A derived value is one line in `DERIVED`, and texts for people.

use super::function::Function;
use crate::domain::family::{Family, Metric, Unit};

/// All functions.
const FUNCTIONS: &[Function] = &[Function::Avg, Function::Min, Function::Max, Function::Last];
/// The functions of which the result for a sum is the sum of the results.
const FUNCTIONS_OF_SUMS: &[Function] = &[Function::Avg, Function::Last];

/// How a value follows from those of one or two metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Formula {
    /// The first, divided by the second, in percent. Without any of the second it is 0.
    Percent,
    /// The first, divided by the second.
    Quotient,
    /// Both together.
    Sum,
}

/// A value derived from two metrics, by their families and names.
struct Derived {
    family: Family,
    name: &'static str,
    unit: Unit,
    formula: Formula,
    first: &'static str,
    second: (Family, &'static str),
}

const fn percent(name: &'static str, first: &'static str, second: &'static str) -> Derived {
    let (family, formula) = (Family::Memory, Formula::Percent);
    Derived { family, name, unit: Unit::Percent, formula, first, second: (family, second) }
}

const fn per_core(name: &'static str, first: &'static str) -> Derived {
    let (family, formula) = (Family::Load, Formula::Quotient);
    Derived { family, name, unit: Unit::Count, formula, first, second: (Family::Cpu, "coreCount") }
}

const fn both_directions(
    name: &'static str,
    unit: Unit,
    first: &'static str,
    second: &'static str,
) -> Derived {
    let (family, formula) = (Family::Network, Formula::Sum);
    Derived { family, name, unit, formula, first, second: (family, second) }
}

/// All derived values.
const DERIVED: [Derived; 7] = [
    percent("availablePercent", "availableBytes", "totalBytes"),
    percent("swapUsedPercent", "swapUsedBytes", "swapTotalBytes"),
    per_core("load1PerCore", "load1"),
    per_core("load5PerCore", "load5"),
    per_core("load15PerCore", "load15"),
    both_directions(
        "totalBytesPerSecond",
        Unit::BytesPerSecond,
        "receivedBytesPerSecond",
        "sentBytesPerSecond",
    ),
    both_directions("errorsPerSecond", Unit::PerSecond, "receiveErrorsPerSecond", "sendErrorsPerSecond"),
];

/// What a metric condition examines.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// The family whose disks or interfaces are judged.
    pub family: Family,
    /// The name among those of the family.
    pub name: &'static str,
    /// The unit.
    pub unit: Unit,
    metric: &'static Metric,
    derived: Option<(Formula, Family, &'static Metric)>,
}

impl Measure {
    /// Returns all measures, family by family.
    pub fn all() -> impl Iterator<Item = Measure> {
        Family::ALL.into_iter().flat_map(|family| {
            let stored = family.metrics().iter().map(move |metric| Measure::stored(family, metric));
            let derived = DERIVED.iter().filter(move |derived| derived.family == family);
            stored.chain(derived.filter_map(Measure::derived))
        })
    }

    /// Returns the measure with this name.
    pub fn find(family: &str, name: &str) -> Option<Measure> {
        Measure::all().find(|measure| measure.family.name() == family && measure.name == name)
    }

    fn stored(family: Family, metric: &'static Metric) -> Measure {
        Measure { family, name: metric.name, unit: metric.unit, metric, derived: None }
    }

    fn derived(derived: &Derived) -> Option<Measure> {
        let metric_of = |family: Family, name| family.metrics().iter().find(|metric| metric.name == name);
        let (other, name) = derived.second;
        Some(Measure {
            family: derived.family,
            name: derived.name,
            unit: derived.unit,
            metric: metric_of(derived.family, derived.first)?,
            derived: Some((derived.formula, other, metric_of(other, name)?)),
        })
    }

    /// Returns the functions by which a window's values can be aggregated.
    pub fn functions(&self) -> &'static [Function] {
        match self.derived {
            Some((Formula::Sum, ..)) => FUNCTIONS_OF_SUMS,
            _ => FUNCTIONS,
        }
    }

    /// Returns what has to be read of a window: one or two metrics, the first of [`Measure::family`].
    pub fn inputs(&self, function: Function) -> impl Iterator<Item = (Family, &'static Metric, Function)> {
        let second = self.derived.map(|(formula, family, metric)| {
            // What is divided by hardly changes.
            (family, metric, if formula == Formula::Sum { function } else { Function::Avg })
        });
        std::iter::once((self.family, self.metric, function)).chain(second)
    }

    /// Returns the value, given the results for the inputs.
    pub fn value(&self, inputs: &[f64]) -> Option<f64> {
        match (self.derived, inputs) {
            (None, [value]) => Some(*value),
            (Some((Formula::Percent, ..)), [_, total]) if *total <= 0.0 => Some(0.0),
            (Some((Formula::Percent, ..)), [part, total]) => Some(part * 100.0 / total),
            (Some((Formula::Quotient, ..)), [value, divisor]) => Some(value / divisor),
            (Some((Formula::Sum, ..)), [one, other]) => Some(one + other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_derived_value_has_its_metrics() {
        for derived in &DERIVED {
            let measure = Measure::find(derived.family.name(), derived.name).unwrap();
            assert_eq!(measure.inputs(Function::Avg).count(), 2, "{}", derived.name);
        }
        assert!(Measure::find("memory", "load1").is_none());
    }

    #[test]
    fn values_are_derived() {
        let value = |family, name, inputs: &[f64]| Measure::find(family, name).unwrap().value(inputs);
        assert_eq!(value("memory", "swapUsedPercent", &[1.0, 4.0]), Some(25.0));
        assert_eq!(value("memory", "swapUsedPercent", &[0.0, 0.0]), Some(0.0));
        assert_eq!(value("load", "load15PerCore", &[6.0, 4.0]), Some(1.5));
        assert_eq!(value("network", "errorsPerSecond", &[6.0, 4.0]), Some(10.0));
        assert_eq!(value("cpu", "usagePercent", &[6.0]), Some(6.0));
        assert_eq!(value("network", "errorsPerSecond", &[6.0]), None);
    }
}
