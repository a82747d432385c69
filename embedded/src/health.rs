//! Whether a data folder is still there and takes writes.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// More than a page of the table's file.
const PROBE: [u8; 16 * 1024] = [0; 16 * 1024];

/// The data folder of this process, which holds its lock.
#[derive(Clone)]
pub struct FolderHealth {
    folder: PathBuf,
    lock: Arc<File>,
}

/// Why a data folder does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Ill {
    #[error(
        "the data folder `{0}` was deleted or replaced while weir used it: what is written from now on is lost; stop weir, and start it again"
    )]
    Replaced(PathBuf),
    #[error("the data folder `{folder}` takes no writes; is its disk full?")]
    Full {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl FolderHealth {
    pub(crate) fn new(folder: PathBuf, lock: File) -> Self {
        Self { folder, lock: Arc::new(lock) }
    }

    /// Looks whether the folder is still the one that this process opened.
    ///
    /// # Errors
    /// `Replaced`.
    pub fn check_place(&self) -> Result<(), Ill> {
        if self.is_ours() { Ok(()) } else { Err(Ill::Replaced(self.folder.clone())) }
    }

    /// Looks at the folder, and writes a small file into it.
    ///
    /// # Errors
    /// See [`Ill`].
    pub fn check(&self) -> Result<(), Ill> {
        self.check_place()?;
        let probe = self.folder.join("probe");
        let written = std::fs::write(&probe, PROBE).and_then(|()| std::fs::remove_file(&probe));
        written.map_err(|source| Ill::Full { folder: self.folder.clone(), source })
    }

    /// Whether the lock in the folder is the one that this process holds.
    #[cfg(unix)]
    fn is_ours(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let id = |metadata: io::Result<std::fs::Metadata>| metadata.ok().map(|found| (found.dev(), found.ino()));
        id(std::fs::metadata(self.folder.join(LOCK))) == id(self.lock.metadata())
    }

    /// Windows does not delete a file that is open.
    #[cfg(not(unix))]
    fn is_ours(&self) -> bool {
        self.lock.metadata().is_ok()
    }
}

/// The name of the lock in a data folder.
pub(crate) const LOCK: &str = "lock";
