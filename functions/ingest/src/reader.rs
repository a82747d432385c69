//! Reads documents with the crate `documents`.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use documents::{Chunks, DocumentKind, Limits, Problem, extract};
use shared::dialects::tokens::count_text;
use shared::model::document::{DocumentReader, Passage};
use shared::model::vector_store::{ChunkingStrategy, FileProblem, ProblemCode};

/// Reads documents of all types that can be searched.
pub struct FileReader;

#[async_trait]
impl DocumentReader for FileReader {
    async fn passages(
        &self,
        filename: String,
        content: Vec<u8>,
        chunking: ChunkingStrategy,
        time: Duration,
    ) -> Result<Vec<Passage>, FileProblem> {
        let read = tokio::task::spawn_blocking(move || read(&filename, content, chunking, Instant::now() + time));
        // The panic's message stays out of the answer: it may quote the file.
        read.await.unwrap_or_else(|_| Err(problem_of(&Problem::Unreadable)))
    }
}

/// Reads and cuts a document. It works until it is done.
fn read(
    filename: &str,
    content: Vec<u8>,
    chunking: ChunkingStrategy,
    deadline: Instant,
) -> Result<Vec<Passage>, FileProblem> {
    let ChunkingStrategy { max_chunk_size_tokens: size, chunk_overlap_tokens: overlap } = chunking;
    let strategy = documents::ChunkingStrategy::new(to_usize(size), to_usize(overlap));
    let strategy = strategy
        .map_err(|error| FileProblem { code: ProblemCode::InvalidFile, message: sentence(&error.to_string()) })?;
    let kind = DocumentKind::of(filename, &content).map_err(|problem| problem_of(&problem))?;
    let limits = Limits { deadline, ..Limits::default() };
    let text = extract(content, kind, &limits).map_err(|problem| problem_of(&problem))?;
    let tokens = |piece: &str| usize::try_from(count_text(piece)).unwrap_or(usize::MAX);
    let mut passages = Vec::new();
    for chunk in Chunks::new(&text, strategy, &tokens) {
        if Instant::now() > deadline {
            return Err(problem_of(&Problem::OutOfTime));
        }
        let context = chunk.headings.join("\n");
        let mut start = chunk.range.start as u64;
        for text in pieces(chunk.text) {
            passages.push(Passage { start, text: text.to_owned(), context: context.clone() });
            start += text.len() as u64;
        }
    }
    Ok(passages)
}

/// The most bytes of a passage. A chunk of few tokens may have many more, such as white space, and an item of the table has 400 KB.
const MAX_PASSAGE: usize = 64 * 1024;

fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.len() > MAX_PASSAGE {
        let (piece, rest) = text.split_at(text.floor_char_boundary(MAX_PASSAGE));
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

fn problem_of(problem: &Problem) -> FileProblem {
    let code = if matches!(problem, Problem::Unsupported(_)) {
        ProblemCode::UnsupportedFile
    } else {
        ProblemCode::InvalidFile
    };
    FileProblem { code, message: sentence(&problem.to_string()) }
}

/// The text with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(".".chars()).collect()
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(filename: &str, content: &[u8]) -> Result<Vec<Passage>, FileProblem> {
        let chunking = ChunkingStrategy { max_chunk_size_tokens: 100, chunk_overlap_tokens: 0 };
        FileReader.passages(filename.to_owned(), content.to_vec(), chunking, Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn a_document_becomes_passages_under_their_headings() {
        let text = format!("# Pumps\n\n## Maintenance\n\n{}", "A pump moves water. ".repeat(60));
        let passages = read("pumps.md", text.as_bytes()).await.unwrap();
        assert!(passages.len() > 1);
        assert_eq!(passages.last().unwrap().context, "Pumps\nMaintenance");
        for passage in &passages {
            let start = usize::try_from(passage.start).unwrap();
            assert!(text[start..].starts_with(&passage.text));
        }
    }

    #[test]
    fn a_passage_fits_an_item() {
        let text = "ä".repeat(MAX_PASSAGE);
        let pieces = pieces(&text);
        assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= MAX_PASSAGE));
        assert_eq!(pieces.concat(), text);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_has_openais_code() {
        let problem = read("movie.mp4", &[0, 1, 2, 255]).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::UnsupportedFile, "{problem:?}");
        let problem = read("report.pdf", b"%PDF-1.7 broken").await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::InvalidFile, "{problem:?}");
        assert!(problem.message.ends_with('.') && problem.message.starts_with("The "), "{problem:?}");
    }
}
