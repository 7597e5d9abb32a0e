//! The committed description is the one that the server generates, and has none of the generator's known faults.

use std::collections::BTreeSet;

use poem_openapi::OpenApi as _;
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");

#[test]
fn the_committed_description_is_current() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == pika_server::api::description().unwrap(),
        "openapi/openapi.json is not what the server generates; run: \
         cargo run -p pika-server -- openapi > openapi/openapi.json"
    );
}

/// Two structs that share a path make operations vanish, silently.
#[test]
fn no_operation_vanishes() {
    let meta = pika_server::api::Resources::meta();
    let in_code: usize = meta.iter().flat_map(|api| &api.paths).map(|path| path.operations.len()).sum();
    let description: Value = serde_json::from_str(&pika_server::api::description().unwrap()).unwrap();
    let in_description: usize =
        description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(in_code, in_description);
}

#[test]
fn operations_have_ids_and_statuses_are_unique() {
    let mut ids = BTreeSet::new();
    for path in pika_server::api::Resources::meta().iter().flat_map(|api| &api.paths) {
        for operation in &path.operations {
            let id = operation.operation_id.unwrap_or_else(|| panic!("{} has no operation id", path.path));
            assert!(ids.insert(id), "{id} is there twice");
            assert!(operation.summary.is_some(), "{id} has no summary");
            let mut statuses = BTreeSet::new();
            for response in &operation.responses.responses {
                assert!(statuses.insert(response.status), "{id} declares {:?} twice", response.status);
            }
        }
    }
}
