//! Turns an uploaded file into text, and text into chunks, for `OpenAI`'s vector stores.
//!
//! ```
//! use documents::{Chunks, ChunkingStrategy, DocumentKind, Limits, extract};
//!
//! let content = b"# Pumps\n\nA pump moves water.".to_vec();
//! let kind = DocumentKind::of("pumps.md", &content)?;
//! let text = extract(content, kind, &Limits::default())?;
//! let words = |text: &str| text.split_whitespace().count();
//! let chunks: Vec<_> = Chunks::new(&text, ChunkingStrategy::default(), &words).collect();
//! assert_eq!(chunks[0].text, "# Pumps\n\nA pump moves water.");
//! # Ok::<(), documents::Problem>(())
//! ```
//!
//! # Text
//!
//! [`DocumentKind::of`] tells how a file is read, and [`extract`] reads it. A text keeps the order of the document: paragraphs with
//! blank lines between them, headings as lines that begin with `#`, items of lists as lines that begin with `-`, and rows of tables
//! as lines that repeat the header (`column: value; column: value`). A presentation has a heading for each slide, and a workbook one
//! for each sheet. Programs, Markdown, JSON and XML stay as they are.
//!
//! # Files that want to do harm
//!
//! A reader runs in a thread of its own. A panic in it is a [`Problem`], and the caller has its answer at the deadline.
//! No reader builds a tree of a document, so nesting needs no stack; pdf's parser has a bound of its own.
//! All that is unpacked is counted while it is unpacked, and [`Limits`] bounds the sum. Sizes that a file declares are not believed.
//!
//! # Chunks
//!
//! [`Chunks`] cuts a text into pieces that fit an embedding model, at headings, paragraphs, sentences or words, in this order.

mod charset;
mod chunks;
mod delimited;
mod docx;
mod draft;
mod extract;
mod html;
mod kind;
mod limits;
mod package;
mod pdf;
mod plain;
mod pptx;
mod problem;
mod table;
mod text;
mod watch;
mod xlsx;

pub use chunks::{Chunk, ChunkingStrategy, Chunks, StrategyError};
pub use extract::extract;
pub use kind::DocumentKind;
pub use limits::Limits;
pub use problem::Problem;
pub use text::Text;
