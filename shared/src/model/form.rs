//! Forms with files, as `multipart/form-data` carries them.

use std::sync::Arc;

use bytes::Bytes;

/// A form as a client sent it: its texts and its files, each in their order.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Name and text.
    pub texts: Vec<(String, String)>,
    pub files: Vec<Upload>,
}

impl Form {
    /// The bytes of its texts and files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.texts.iter().map(|(_, text)| text.len());
        texts.chain(self.files.iter().map(|upload| upload.bytes.len())).sum()
    }
}

/// A file of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The name of its field.
    pub field: String,
    /// The name of the file on the client's side. Providers read the format from its end.
    pub name: String,
    /// As the client sent it, such as `audio/wav`.
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

/// The files of a request. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<[Upload]>);

impl From<Vec<Upload>> for Uploads {
    fn from(uploads: Vec<Upload>) -> Self {
        Self(uploads.into())
    }
}

impl Uploads {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Upload> {
        self.0.iter()
    }

    /// The bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|upload| upload.bytes.len()).sum()
    }

    /// All that tells these files from others, in order, for a hash.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().flat_map(|Upload { field, name, content_type, bytes }| {
            let content_type = content_type.as_deref().unwrap_or_default();
            [field.as_bytes(), name.as_bytes(), content_type.as_bytes(), &bytes[..]]
        })
    }
}
