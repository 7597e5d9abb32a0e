//! Backups that earlier versions of the schema have left are restored, and so migrated with rows in every table.
//!
//! Each file of `fixtures/backups` is named after its schema. To add one before a release, back up a database that has rows in
//! all tables: `pika-server backup --plain --audit --metrics since:all --to server/tests/fixtures/backups/schema-N.backup`.

use std::collections::BTreeMap;

use pika_server::backup;
use pika_server::secrets::SecretKeys;
use pika_server::store::{KEPT, KeptTable, Part};
use serde_json::Value;

use crate::backups::keys;
use crate::support::TestDatabase;
use crate::support::client::now;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/backups");

#[tokio::test]
async fn backups_of_earlier_schemas_are_restored_on_server() {
    check(async || TestDatabase::on_server_unmigrated().await).await;
}

#[tokio::test]
async fn backups_of_earlier_schemas_are_restored_on_community() {
    check(async || TestDatabase::on_community_unmigrated().await).await;
}

/// Returns the number of rows in a file by table.
fn rows_of(text: &str) -> BTreeMap<String, i64> {
    let (mut rows, mut copied) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(table) = line["row"]["table"].as_str() {
            *rows.entry(table.to_owned()).or_default() += 1;
        } else if let Some(table) = line["copy"]["table"].as_str() {
            table.clone_into(&mut copied);
        } else if let Some(piece) = line["rows"].as_str() {
            *rows.entry(copied.clone()).or_default() += i64::try_from(piece.lines().count()).unwrap();
        }
    }
    rows
}

async fn check(target: impl AsyncFn() -> TestDatabase) {
    let mut n_files = 0;
    for file in std::fs::read_dir(FOLDER).unwrap() {
        let path = file.unwrap().path();
        let expected = rows_of(&std::fs::read_to_string(&path).unwrap());
        for table in KEPT.iter().filter(|table| table.name != "rollup_changes") {
            assert!(expected.contains_key(table.name), "{} is empty in {}", table.name, path.display());
        }
        let database = target().await;
        let store = database.store();
        let keys: SecretKeys = keys(2);
        backup::restore(&store, &keys, &path, None, now()).await.unwrap();
        let found = store.table_contents().await.unwrap();
        for (table, expected) in expected {
            let found = found[&table].rows;
            // An absence is noted, and what was not rolled up yet is.
            let may_grow = KeptTable::find(&table).is_none_or(|table| table.part == Part::History);
            assert!(found == expected || (may_grow && expected < found), "{table}: {found}, not {expected}");
        }
        n_files += 1;
    }
    assert!(0 < n_files);
}
