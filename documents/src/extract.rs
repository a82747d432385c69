//! Runs the reader of a kind of document, so that neither a panic nor a long run reaches the caller.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::watch::Watch;
use crate::{DocumentKind, Limits, Problem, Text, delimited, docx, html, pdf, plain, pptx, xlsx};

/// The stack of the thread that reads. The deepest recursion of all readers is that of pdf's parser, which ends at 512 levels;
/// a test reads such files on this stack. Memory that is never touched is never taken.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Reads the text of a file.
///
/// The content is given away because the reader runs in a thread of its own. The caller waits for it until the deadline, and
/// without the runtime's help: call this where blocking is allowed. A thread that is late is left behind. It looks at the clock at
/// each step, so it ends soon after, unless it is inside a parser's one long call; its memory stays within the limits until then.
///
/// # Errors
/// `Unsupported` if a file that should be text is none; `Broken`, `Encrypted` or `NoText` if the file has nothing to read;
/// `TooLarge` if it exceeds a limit; `OutOfTime` at the deadline; `Unreadable` if its parser panicked.
pub fn extract(content: Vec<u8>, kind: DocumentKind, limits: &Limits) -> Result<Text, Problem> {
    let limits = *limits;
    let (answer, answered) = mpsc::sync_channel(1);
    let reader = move || {
        let read = read(content, kind, &Watch::new(limits));
        // The caller is gone after its deadline.
        let _ = answer.send(read);
    };
    let started = thread::Builder::new().name("document".to_owned()).stack_size(STACK_BYTES).spawn(reader);
    if started.is_err() {
        return Err(Problem::Unreadable);
    }
    let time = limits.deadline.saturating_duration_since(Instant::now());
    match answered.recv_timeout(time) {
        Ok(read) => read,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Problem::OutOfTime),
        // The thread dropped its end without an answer: it panicked.
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Problem::Unreadable),
    }
}

fn read(content: Vec<u8>, kind: DocumentKind, watch: &Watch) -> Result<Text, Problem> {
    watch.look()?;
    match kind {
        DocumentKind::Text => plain::text(&content, watch),
        DocumentKind::Markdown => plain::markdown(&content, watch),
        DocumentKind::Csv => delimited::text(&content, None, watch),
        DocumentKind::Tsv => delimited::text(&content, Some(b'\t'), watch),
        DocumentKind::Html => html::text(&content, watch),
        DocumentKind::Docx => docx::text(&content, watch),
        DocumentKind::Pptx => pptx::text(&content, watch),
        DocumentKind::Xlsx => xlsx::text(&content, watch),
        DocumentKind::Pdf => pdf::text(content, watch),
    }
}
