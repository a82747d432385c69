//! The data folder: killed starts, foreign locks, deleted folders.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::process::{Folder, Server, eventually, weir};

#[test]
fn a_first_start_that_is_killed_at_any_moment_can_be_repeated() {
    let folder = Folder::new("killed");
    for moment in 0..12 {
        let data = folder.path(&format!("data-{moment}"));
        let mut first = weir();
        let started = first.args(["serve", "--port", "0", "--data", &data]).stdout(Stdio::null()).stdin(Stdio::null());
        let mut child = started.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        if moment % 4 == 3 {
            let server = Server::start(weir(), &["--data", &data]);
            assert_eq!(server.chat("simulator", "hello").status, 200, "killed after {} ms", 5 * moment);
        }
    }
}

#[test]
fn no_other_program_can_lock_the_table_while_weir_runs_and_all_of_it_is_in_one_file_afterwards() {
    let folder = Folder::new("locks");
    let server = Server::start(weir(), &["--data", &folder.path("data")]);
    assert_eq!(server.chat("simulator", "hello").status, 200);
    // The file by which SQLite shares a table with other programs.
    assert!(!std::path::Path::new(&folder.path("data/dynamodb.sqlite-shm")).exists());
    let file = File::options().read(true).write(true).open(folder.path("data/dynamodb.sqlite")).unwrap();
    assert!(fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(file);
    assert!(server.stop().0.success());
    let names: Vec<String> = std::fs::read_dir(folder.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name == "dynamodb.sqlite"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("-wal") || name.contains("unfinished")), "{names:?}");
}

#[test]
fn a_deleted_data_folder_is_an_error_of_the_health_check_and_of_the_log() {
    let folder = Folder::new("deleted");
    let server = Server::start(weir(), &["--data", &folder.path("data")]);
    assert_eq!(server.send("GET", "/healthz", "", "").status, 200);
    std::fs::remove_dir_all(folder.path("data")).unwrap();
    let reply = server.send("GET", "/healthz", "", "");
    assert_eq!((reply.status, reply.body.contains("store_unavailable")), (503, true), "{}", reply.body);
    eventually("the log says why", || server.log().contains("was deleted or replaced while weir used it"));
}

#[test]
fn what_a_start_lacks_is_said_in_one_line() {
    let folder = Folder::new("refused");
    let empty = folder.path("models.toml");
    std::fs::write(&empty, "# none yet\n").unwrap();
    let occupied = folder.path("occupied");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(format!("{occupied}/dynamodb.sqlite"), "no database").unwrap();
    for (arguments, expected) in [
        (["--models", &*empty], "defines no model; add a [[model]]"),
        (["--log", "loud"], "`loud` is no filter of the log"),
        (["--admin-key", ""], "the key is empty"),
        (["--data", &*occupied], "put a copy of the data folder in its place"),
    ] {
        let mut command = weir();
        command.args(["serve", "--port", "0"]).args(arguments);
        if arguments[0] != "--data" {
            command.args(["--data", "memory"]);
        }
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{arguments:?}: {error}");
    }
}
