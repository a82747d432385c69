//! The table and the bucket: what expires, and what a killed start leaves.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use embedded::{BUCKET, Engines, Expired, Ill, Place, TABLE};

const NOW_MS: u64 = 1_795_366_800_000;
const NOW: u64 = NOW_MS / 1_000;

fn open(place: &Place) -> Engines {
    Engines::open(place, Arc::new(|| NOW_MS)).unwrap()
}

async fn put(engines: &Engines, id: &str, expires_at: Option<u64>, bytes: usize) {
    let client = embedded::dynamo_client(engines.dynamo.clone());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client.put_item().table_name(TABLE).item("pk", text(id)).item("sk", text("x"));
    let put = put.item("due_shard", text("0")).item("due_at", AttributeValue::N("5".to_owned()));
    let put = put.item("body", text(&"a".repeat(bytes)));
    let put = match expires_at {
        Some(at) => put.item("expires_at", AttributeValue::N(at.to_string())),
        None => put,
    };
    put.send().await.unwrap();
}

/// The ids of the items of the table, and of its index.
async fn ids(engines: &Engines) -> [Vec<String>; 2] {
    let client = embedded::dynamo_client(engines.dynamo.clone());
    let read = |index: Option<&str>| client.scan().table_name(TABLE).set_index_name(index.map(str::to_owned)).send();
    let mut found = [Vec::new(), Vec::new()];
    for (ids, index) in found.iter_mut().zip([None, Some("due")]) {
        let items = read(index).await.unwrap().items.unwrap_or_default();
        ids.extend(items.iter().map(|item| item["pk"].as_s().unwrap().clone()));
        ids.sort();
    }
    found
}

#[tokio::test]
async fn items_expire_by_the_clock_with_their_entries_in_the_index() {
    let engines = open(&Place::Memory);
    put(&engines, "past", Some(NOW - 10), 1).await;
    put(&engines, "future", Some(NOW + 10), 1).await;
    put(&engines, "forever", None, 1).await;
    assert_eq!(engines.expiry.run().unwrap(), Expired { items: 1, bodies: 0 });
    let left = vec!["forever".to_owned(), "future".to_owned()];
    assert_eq!(ids(&engines).await, [left.clone(), left]);
    assert_eq!(engines.expiry.run().unwrap(), Expired::default());
}

#[tokio::test]
async fn the_space_of_expired_items_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynamodb.sqlite");
    let mut sizes = Vec::new();
    for round in 0..3 {
        let engines = open(&Place::Folder(folder.path().to_owned()));
        for n in 0..100 {
            put(&engines, &format!("{round}-{n}"), Some(1), 8_000).await;
        }
        drop(engines);
        let engines = open(&Place::Folder(folder.path().to_owned()));
        assert_eq!(engines.expiry.run().unwrap().items, 100);
        drop(engines);
        sizes.push(std::fs::metadata(&file).unwrap().len());
    }
    assert!(sizes[0] > 800_000 && sizes[2] < sizes[0] + sizes[0] / 10, "{sizes:?}");
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

/// The files of the bucket, and those that the engine keeps about them.
fn files(folder: &Path) -> (usize, usize) {
    let objects = folder.join("s3");
    let beside = std::fs::read_dir(&objects).unwrap().filter(|file| file.as_ref().unwrap().path().is_file());
    (files_below(&objects.join(BUCKET)), beside.count())
}

#[tokio::test]
async fn bodies_expire_some_days_after_their_last_writing_and_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&Place::Folder(folder.path().to_owned()));
    let client = embedded::s3_client(engines.s3.clone());
    // Each with its age in days, and whether it stays.
    let aged = [
        ("bodies/proj_1/resp_1/old", 33, false),
        ("bodies/proj_1/new", 31, true),
        ("bodies/day/proj_1/old", 3, false),
        ("bodies/day/proj_1/resp_1/new", 1, true),
        ("bodies/week/proj_1/resp_1/old", 10, false),
        ("bodies/week/proj_1/new", 8, true),
        ("kept/proj_1/old", 400, true),
    ];
    for (key, ..) in aged {
        client.put_object().bucket(BUCKET).key(key).body(b"body".to_vec().into()).send().await.unwrap();
    }
    let (bodies, about) = files(folder.path());
    assert_eq!((bodies, about % 7), (7, 0));
    let day = Duration::from_secs(86_400);
    let written = |path: &Path, age: Duration| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(UNIX_EPOCH + Duration::from_millis(NOW_MS) - age)
            .unwrap();
    };
    let objects = folder.path().join("s3");
    for (key, days, _) in aged {
        written(&objects.join(BUCKET).join(key), day * days);
    }
    for file in std::fs::read_dir(&objects).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        written(&file, day);
    }
    assert_eq!(engines.expiry.run().unwrap(), Expired { items: 0, bodies: 3 });
    assert_eq!(files(folder.path()), (4, about / 7 * 4));
    for (key, _, stays) in aged {
        let get = client.get_object().bucket(BUCKET).key(key).send().await;
        assert_eq!(get.is_ok(), stays, "{key}");
    }
}

#[test]
fn a_folder_that_takes_no_writes_and_one_that_was_replaced_are_ill() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let engines = open(&Place::Folder(folder.clone()));
    let health = engines.health.as_ref().unwrap();
    assert!(health.check().is_ok());
    std::fs::create_dir(folder.join("probe")).unwrap();
    assert!(matches!(health.check(), Err(Ill::Full { .. })) && health.check_place().is_ok());
    std::fs::rename(&folder, parent.path().join("elsewhere")).unwrap();
    assert!(matches!(health.check_place(), Err(Ill::Replaced(_))));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("lock"), "").unwrap();
    assert!(matches!(health.check(), Err(Ill::Replaced(_))));
}

#[tokio::test]
async fn a_table_that_was_not_finished_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    for leftover in ["dynamodb.unfinished", "dynamodb.unfinished-wal", "dynamodb.unfinished-shm"] {
        std::fs::write(folder.path().join(leftover), "half a table").unwrap();
    }
    let engines = open(&Place::Folder(folder.path().to_owned()));
    put(&engines, "a", None, 1).await;
    assert_eq!(ids(&engines).await[1], ["a"]);
    drop(engines);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("unfinished")));
    assert_eq!(ids(&open(&Place::Folder(folder.path().to_owned()))).await[0], ["a"]);
}
