//! The tables of series names, in SQL: each kind has its own, with a column per label, or shares one with others.

use crate::domain::family::{Label, Series, SeriesNames, Table};
use crate::domain::series::SeriesLabels;

/// Where the series of one metric table have their names.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamingTable {
    /// Distinguishes its series from those of other kinds in the shared table.
    subject: &'static str,
    series: Series,
}

impl NamingTable {
    /// Returns the naming table of a metric table; `None` if an agent has only one series.
    pub(super) fn of(table: &Table) -> Option<Self> {
        Some(Self { subject: table.subject(), series: table.series? })
    }

    /// Returns the table's name.
    pub(super) fn name(self) -> &'static str {
        match self.series.names {
            SeriesNames::Own(table) => table,
            SeriesNames::Shared => "series",
        }
    }

    /// Returns the column that identifies a series within its agent.
    pub(super) fn identifier(self) -> &'static str {
        match self.series.names {
            SeriesNames::Own(_) => self.series.labels.first().map_or("name", |label| label.column),
            SeriesNames::Shared => "name",
        }
    }

    /// Returns the condition that a row of the table, aliased `alias`, is of this kind; empty, or beginning with `
    /// AND`.
    pub(super) fn is_of_kind(self, alias: &str) -> String {
        match self.series.names {
            SeriesNames::Own(_) => String::new(),
            SeriesNames::Shared => format!(" AND {alias}.kind = '{}'", self.subject),
        }
    }

    /// Returns the columns to write: name and value, from a row `new` of the reported columns.
    pub(super) fn columns(self) -> Vec<(&'static str, String)> {
        match self.series.names {
            SeriesNames::Own(_) => {
                let column = |label: &Label| (label.column, format!("new.{}", label.column));
                self.series.labels.iter().map(column).collect()
            }
            SeriesNames::Shared => vec![
                ("name", "new.name".to_owned()),
                ("labels", "new.labels::jsonb".to_owned()),
                ("kind", format!("'{}'", self.subject)),
            ],
        }
    }

    /// Returns the reported columns, each of which is passed as one array of texts.
    pub(super) fn reported(self) -> Vec<&'static str> {
        match self.series.names {
            SeriesNames::Own(_) => self.series.labels.iter().map(|label| label.column).collect(),
            SeriesNames::Shared => vec!["name", "labels"],
        }
    }

    /// Returns these arrays.
    pub(super) fn arrays(self, reported: &[SeriesLabels]) -> Vec<Vec<String>> {
        match self.series.names {
            SeriesNames::Own(_) => (0..self.series.labels.len())
                .map(|index| reported.iter().map(|series| text(series, index)).collect())
                .collect(),
            SeriesNames::Shared => vec![
                reported.iter().map(|series| series.name().to_owned()).collect(),
                reported.iter().map(|series| self.described(series)).collect(),
            ],
        }
    }

    /// Returns all labels but the identifying one, as JSON.
    fn described(self, series: &SeriesLabels) -> String {
        let labels = self.series.labels.iter().enumerate().skip(1);
        let labels: serde_json::Map<_, _> = labels
            .map(|(index, label)| (label.name.to_owned(), serde_json::Value::String(text(series, index))))
            .collect();
        serde_json::Value::Object(labels).to_string()
    }

    /// Returns the labels of a row of the table, aliased `alias`: an array in order of declaration.
    pub(super) fn labels(self, alias: &str) -> String {
        format!("ARRAY[{}]::text[]", self.label_expressions(alias).join(", "))
    }

    /// The same, one by one.
    pub(super) fn label_expressions(self, alias: &str) -> Vec<String> {
        let labels = self.series.labels.iter().enumerate();
        labels
            .map(|(index, label)| match self.series.names {
                SeriesNames::Own(_) => format!("{alias}.{}", label.column),
                SeriesNames::Shared if index == 0 => format!("{alias}.name"),
                SeriesNames::Shared => format!("coalesce({alias}.labels ->> '{}', '')", label.name),
            })
            .collect()
    }
}

fn text(series: &SeriesLabels, index: usize) -> String {
    series.texts.get(index).cloned().unwrap_or_default()
}
