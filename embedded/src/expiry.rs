//! Deletes what AWS deletes by itself: items whose time to live is over, and bodies by the bucket's lifecycle rule.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dynoxide::Database;

use crate::schema::BUCKET;
use crate::{NowMs, OpenError, dynamo};

/// The ages at which bodies in a folder of the bucket expire. Where folders lie in each other, the shorter age counts.
/// `template.yaml` has the same rules.
const BODIES: [(&str, Duration); 3] = [("bodies/day", days(2)), ("bodies/week", days(9)), ("bodies", days(32))];

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

/// The age at which a file about an object is looked at. The engine writes it before the object.
const SETTLED: Duration = Duration::from_secs(3_600);

/// Deletes what has expired in the stores of a place. The table and the bucket use the space again; their files do not
/// shrink.
#[derive(Clone)]
pub struct Expiry {
    pub(crate) database: Database,
    pub(crate) objects: PathBuf,
    pub(crate) now: NowMs,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    pub items: usize,
    pub bodies: usize,
}

impl Expiry {
    /// Deletes what has expired. This blocks its thread; other requests go on meanwhile.
    ///
    /// # Errors
    /// `Engine` if an engine fails, `Folder` if the disk does.
    pub fn run(&self) -> Result<Expired, OpenError> {
        let items = self.database.sweep_ttl().map_err(|error| dynamo::failure(&error))?;
        let bodies = self.delete_bodies().map_err(|source| OpenError::Folder {
            action: "delete expired files in",
            path: self.objects.clone(),
            source,
        })?;
        Ok(Expired { items, bodies })
    }

    fn delete_bodies(&self) -> io::Result<usize> {
        let now = UNIX_EPOCH + Duration::from_millis((self.now)());
        let mut deleted = 0;
        for (folder, age) in BODIES {
            deleted += delete_older(&self.objects.join(BUCKET).join(folder), now, age)?;
        }
        // The engine keeps files about each object beside the buckets, and leaves them when the object is deleted.
        for about in entries(&self.objects)? {
            let object = object_of(&about.file_name()).map(|object| self.objects.join(object));
            if object.is_some_and(|object| !object.exists()) && is_older(&about, now, SETTLED)? {
                fs::remove_file(about.path())?;
            }
        }
        Ok(deleted)
    }
}

/// Deletes the files in a folder and below that are older than `age`. Returns how many.
fn delete_older(folder: &Path, now: SystemTime, age: Duration) -> io::Result<usize> {
    let mut deleted = 0;
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            deleted += delete_older(&entry.path(), now, age)?;
        } else if is_older(&entry, now, age)? {
            fs::remove_file(entry.path())?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_older(file: &DirEntry, now: SystemTime, age: Duration) -> io::Result<bool> {
    let written = file.metadata()?.modified()?;
    Ok(now.duration_since(written).is_ok_and(|passed| passed > age))
}

/// The object that a file is about, as a path: `.bucket-<bucket>.object-<key>.internal.json`, names in base64.
fn object_of(file: &OsStr) -> Option<PathBuf> {
    let names = file.to_str()?.strip_prefix(".bucket-")?;
    let (bucket, rest) = names.split_once(".object-")?;
    let (key, _) = rest.split_once('.')?;
    let decode = |name: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok();
    Some(Path::new(&decode(bucket)?).join(decode(key)?))
}
