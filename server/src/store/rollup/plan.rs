//! Plans the steps that make a database's rollups match the definition.
//!
//! Each step takes effect as a whole or not at all, or can be continued after an interruption, and its result shows in
//! the database. An interrupted start is therefore completed by the next one, which makes its own plan.
//!
//! What cannot be changed in place is rebuilt beside the existing rollup, filled from it, and renamed in the end, so
//! that readers always see complete data: a rollup of another kind (the edition has changed), with a column of another
//! type, or with another source, and in the Community edition everything built from such a one. Columns that the
//! definition does not name (any more) are left alone unless they are retired.

use super::abilities::Abilities;
use super::difference::{Difference, difference, fits};
use super::found::{Found, Kind, former, next};
use super::{Definition, Rollup, RollupColumn};

/// A step towards the definition.
#[derive(Clone, Debug)]
pub(in crate::store) enum Step {
    /// Creates a missing rollup.
    Create(Rollup),
    /// Adds columns to a rollup; they are null in existing buckets.
    AddColumns(Rollup, Vec<RollupColumn>),
    /// Drops retired columns from a rollup.
    DropColumns(Rollup, Vec<String>),
    /// Creates a rollup's replacement beside it, built from the relation of this name.
    CreateNext(Rollup, String),
    /// Drops a replacement begun for another definition.
    DropNext(Rollup),
    /// Copies a rollup into its replacement.
    Copy(Rollup),
    /// Renames the replacements to what they replace, all at once.
    Replace(Vec<Rollup>),
    /// Drops a rollup that was replaced.
    DropFormer(Rollup),
}

impl Step {
    /// Returns the step's name, for the callback that decides whether to continue.
    pub(in crate::store) fn name(&self) -> &'static str {
        match self {
            Step::Create(_) => "create",
            Step::AddColumns(..) => "add columns",
            Step::DropColumns(..) => "drop columns",
            Step::CreateNext(..) => "create next",
            Step::DropNext(_) => "drop next",
            Step::Copy(_) => "copy",
            Step::Replace(_) => "replace",
            Step::DropFormer(_) => "drop former",
        }
    }
}

/// Returns the steps from the existing state to the definition.
pub(super) fn plan(found: &Found, definition: &Definition, abilities: Abilities) -> Vec<Step> {
    definition.chains().flat_map(|rollups| Chain::new(found, rollups, abilities).steps()).collect()
}

/// The rollups of one table, each built from the previous one.
struct Chain<'a> {
    found: &'a Found,
    abilities: Abilities,
    rollups: Vec<Rollup>,
    /// What is to be done about each.
    differences: Vec<Difference>,
}

impl<'a> Chain<'a> {
    fn new(found: &'a Found, rollups: Vec<Rollup>, abilities: Abilities) -> Self {
        let mut differences: Vec<Difference> = Vec::new();
        for rollup in &rollups {
            let is_source_new = abilities.kind == Kind::Aggregate
                && matches!(differences.last(), Some(Difference::All | Difference::Missing));
            differences.push(match found.relations.get(&rollup.relation()) {
                None => Difference::Missing,
                Some(_) if is_source_new => Difference::All,
                Some(relation) => difference(found, *rollup, relation, abilities),
            });
        }
        Self { found, abilities, rollups, differences }
    }

    fn steps(&self) -> Vec<Step> {
        let begun = self.begun();
        let replaced: Vec<Rollup> = self
            .positions()
            .filter(|index| self.is_replaced(*index))
            .map(|index| self.rollups[index])
            .collect();
        let mut steps = self.remove_what_is_in_the_way(&begun, !replaced.is_empty());
        steps.extend(self.make(&begun));
        steps.extend(replaced.iter().copied().map(Step::Copy));
        if !replaced.is_empty() {
            steps.push(Step::Replace(replaced.clone()));
        }
        // What is built from a replacement needs its final name first.
        steps.extend(self.missing(true).map(Step::Create));
        let outlived = if replaced.is_empty() { self.formers() } else { replaced };
        steps.extend(outlived.into_iter().rev().map(Step::DropFormer));
        steps
    }

    fn positions(&self) -> std::ops::Range<usize> {
        0..self.rollups.len()
    }

    /// Returns whether a rollup has to be rebuilt to replace the existing one.
    fn is_replaced(&self, index: usize) -> bool {
        matches!(self.differences.get(index), Some(Difference::All))
    }

    /// Returns the source of a replacement: its source's replacement, if there is one.
    fn source_of_next(&self, index: usize) -> String {
        match index.checked_sub(1) {
            Some(source) if self.is_replaced(source) => next(self.rollups[source]),
            _ => self.rollups[index].source().relation,
        }
    }

    /// Returns which replacements were begun and can be continued: those of this definition with a source of this
    /// definition.
    fn begun(&self) -> Vec<bool> {
        let mut begun: Vec<bool> = Vec::new();
        for index in self.positions() {
            let rollup = self.rollups[index];
            let source = self.found.relations.get(&self.source_of_next(index));
            let fits = self
                .found
                .relations
                .get(&next(rollup))
                .is_some_and(|relation| fits(rollup, relation, source, self.abilities.kind));
            let is_source_kept = index == 0 || !self.is_replaced(index - 1) || begun[index - 1];
            begun.push(self.is_replaced(index) && is_source_kept && fits);
        }
        begun
    }

    /// Returns what was replaced but not dropped yet.
    fn formers(&self) -> Vec<Rollup> {
        let exists = |rollup: &Rollup| self.found.relations.contains_key(&former(*rollup));
        self.rollups.iter().copied().filter(exists).collect()
    }

    /// Drops useless replacements and, if there will be others, what earlier ones have replaced.
    fn remove_what_is_in_the_way(&self, begun: &[bool], are_names_needed: bool) -> Vec<Step> {
        let is_useless =
            |index: &usize| !begun[*index] && self.found.relations.contains_key(&next(self.rollups[*index]));
        let useless = self.positions().rev().filter(is_useless);
        let mut steps: Vec<Step> = useless.map(|index| Step::DropNext(self.rollups[index])).collect();
        if are_names_needed {
            steps.extend(self.formers().into_iter().rev().map(Step::DropFormer));
        }
        steps
    }

    /// Creates rollups, columns and replacements, each after its source.
    fn make(&self, begun: &[bool]) -> Vec<Step> {
        let mut steps: Vec<Step> = self.missing(false).map(Step::Create).collect();
        for index in self.positions() {
            let rollup = self.rollups[index];
            match &self.differences[index] {
                Difference::Columns { added, dropped } => {
                    steps.extend((!added.is_empty()).then(|| Step::AddColumns(rollup, added.clone())));
                    steps.extend((!dropped.is_empty()).then(|| Step::DropColumns(rollup, dropped.clone())));
                }
                Difference::All if !begun[index] => {
                    steps.push(Step::CreateNext(rollup, self.source_of_next(index)));
                }
                Difference::None | Difference::Missing | Difference::All => {}
            }
        }
        steps
    }

    /// Returns the missing rollups: either those built from a replacement, or the others.
    fn missing(&self, is_after_replacement: bool) -> impl Iterator<Item = Rollup> {
        let first_replaced =
            self.positions().find(|index| self.is_replaced(*index)).unwrap_or(self.rollups.len());
        let is_wanted = move |index: &usize| {
            matches!(self.differences[*index], Difference::Missing)
                && (first_replaced < *index) == is_after_replacement
        };
        self.positions().filter(is_wanted).map(|index| self.rollups[index])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::found::Relation;
    use super::*;
    use crate::domain::family::{Family, Table};

    const APACHE: Abilities = Abilities { kind: Kind::Table, adds_columns: true };
    const COMMUNITY: Abilities = Abilities { kind: Kind::Aggregate, adds_columns: false };
    const LATER_COMMUNITY: Abilities = Abilities { kind: Kind::Aggregate, adds_columns: true };

    /// One table without histogram: three rollups.
    fn definition(table: Table) -> Definition {
        Definition::new([table])
    }

    fn memory() -> Table {
        *Family::Memory.declaration()
    }

    /// Memory without its first metric.
    fn fewer_metrics() -> Table {
        Table { metrics: &Family::Memory.metrics()[1..], ..memory() }
    }

    fn relation(rollup: Rollup, name: &str, source: &str, kind: Kind) -> (String, Relation) {
        let is_aggregate = kind == Kind::Aggregate;
        let relation = Relation {
            kind,
            hypertable: name.to_owned(),
            source: is_aggregate.then(|| source.to_owned()),
            columns: rollup
                .columns()
                .into_iter()
                .map(|column| (column.name, column.sql_type.to_owned()))
                .collect(),
        };
        (name.to_owned(), relation)
    }

    /// A database that has everything in a definition.
    fn database(table: Table, kind: Kind) -> Found {
        let rollups: Vec<Rollup> = definition(table).rollups().collect();
        let rollups = rollups
            .into_iter()
            .map(|rollup| relation(rollup, &rollup.relation(), &rollup.source().relation, kind));
        let raw = Relation {
            kind: Kind::Table,
            hypertable: table.name.to_owned(),
            source: None,
            columns: BTreeMap::new(),
        };
        let relations = rollups.chain([(table.name.to_owned(), raw)]);
        Found { relations: relations.collect() }
    }

    /// Returns the steps in words: what is done to which tiers.
    fn steps(found: &Found, table: Table, abilities: Abilities) -> Vec<String> {
        let tier = |rollup: &Rollup| rollup.tier.name();
        plan(found, &definition(table), abilities)
            .iter()
            .map(|step| match step {
                Step::Replace(rollups) => {
                    format!("replace {}", rollups.iter().map(tier).collect::<Vec<_>>().join(" "))
                }
                Step::CreateNext(rollup, source) => format!("create next {} of {source}", tier(rollup)),
                Step::Create(rollup)
                | Step::AddColumns(rollup, _)
                | Step::DropColumns(rollup, _)
                | Step::DropNext(rollup)
                | Step::Copy(rollup)
                | Step::DropFormer(rollup) => format!("{} {}", step.name(), tier(rollup)),
            })
            .collect()
    }

    const ALL_ANEW: [&str; 10] = [
        "create next 1m of memory_metrics",
        "create next 1h of memory_metrics_1m_next",
        "create next 1d of memory_metrics_1h_next",
        "copy 1m",
        "copy 1h",
        "copy 1d",
        "replace 1m 1h 1d",
        "drop former 1d",
        "drop former 1h",
        "drop former 1m",
    ];

    #[test]
    fn a_database_that_matches_is_left_alone() {
        for abilities in [APACHE, COMMUNITY, LATER_COMMUNITY] {
            assert!(steps(&database(memory(), abilities.kind), memory(), abilities).is_empty());
            // Columns the definition does not name are left alone.
            assert!(steps(&database(memory(), abilities.kind), fewer_metrics(), abilities).is_empty());
        }
    }

    #[test]
    fn missing_rollups_are_created() {
        let mut found = database(memory(), Kind::Table);
        found.relations.retain(|name, _| name == "memory_metrics");
        for abilities in [APACHE, COMMUNITY] {
            assert_eq!(steps(&found, memory(), abilities), ["create 1m", "create 1h", "create 1d"]);
        }
    }

    #[test]
    fn metrics_are_added_in_place_where_that_can_be_done() {
        let added = ["add columns 1m", "add columns 1h", "add columns 1d"];
        assert_eq!(steps(&database(fewer_metrics(), Kind::Table), memory(), APACHE), added);
        assert_eq!(steps(&database(fewer_metrics(), Kind::Aggregate), memory(), LATER_COMMUNITY), added);
        assert_eq!(steps(&database(fewer_metrics(), Kind::Aggregate), memory(), COMMUNITY), ALL_ANEW);
    }

    #[test]
    fn retired_metrics_are_removed() {
        let table = Table { retired: &["usage_percent"], ..fewer_metrics() };
        let dropped = ["drop columns 1m", "drop columns 1h", "drop columns 1d"];
        assert_eq!(steps(&database(memory(), Kind::Table), table, APACHE), dropped);
        assert_eq!(steps(&database(memory(), Kind::Aggregate), table, LATER_COMMUNITY), ALL_ANEW);
    }

    #[test]
    fn another_edition_rebuilds_everything() {
        assert_eq!(steps(&database(memory(), Kind::Table), memory(), COMMUNITY), ALL_ANEW);
    }

    #[test]
    fn a_rollup_with_another_source_is_rebuilt_with_all_above_it() {
        let mut found = database(memory(), Kind::Aggregate);
        found.relations.get_mut("memory_metrics_1h").unwrap().source = Some("another".to_owned());
        let expected = [
            "create next 1h of memory_metrics_1m",
            "create next 1d of memory_metrics_1h_next",
            "copy 1h",
            "copy 1d",
            "replace 1h 1d",
            "drop former 1d",
            "drop former 1h",
        ];
        assert_eq!(steps(&found, memory(), COMMUNITY), expected);
    }

    #[test]
    fn a_build_continues_where_it_was_interrupted() {
        let rollups: Vec<Rollup> = definition(memory()).rollups().collect();
        let mut found = database(memory(), Kind::Table);
        let next = |rollup: Rollup, source: &str| relation(rollup, &next(rollup), source, Kind::Aggregate);
        found.relations.extend([next(rollups[0], "memory_metrics")]);
        assert_eq!(steps(&found, memory(), COMMUNITY), ALL_ANEW[1..]);
        found.relations.extend([next(rollups[1], "memory_metrics_1m_next")]);
        found.relations.extend([next(rollups[2], "memory_metrics_1h_next")]);
        assert_eq!(steps(&found, memory(), COMMUNITY), ALL_ANEW[3..]);

        // All have been replaced, but not all of the replaced ones dropped.
        let mut found = database(memory(), Kind::Aggregate);
        for rollup in &rollups[..2] {
            found.relations.extend([relation(*rollup, &former(*rollup), "", Kind::Table)]);
        }
        assert_eq!(steps(&found, memory(), COMMUNITY), ["drop former 1h", "drop former 1m"]);
    }

    #[test]
    fn a_build_towards_another_definition_is_restarted() {
        let rollups: Vec<Rollup> = definition(fewer_metrics()).rollups().collect();
        let mut found = database(memory(), Kind::Table);
        found.relations.extend([
            relation(rollups[0], &next(rollups[0]), "memory_metrics", Kind::Aggregate),
            relation(rollups[1], &next(rollups[1]), "memory_metrics_1m_next", Kind::Aggregate),
        ]);
        let dropped = ["drop next 1h", "drop next 1m"];
        assert_eq!(steps(&found, memory(), COMMUNITY), [&dropped[..], &ALL_ANEW[..]].concat());
        // Or it is not wanted at all any more.
        assert_eq!(steps(&found, fewer_metrics(), APACHE), dropped);
    }
}
