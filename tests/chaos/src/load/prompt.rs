//! What clients write to models: it says who wrote it, so that the provider's bill can be told apart.

/// What a model of the catalog writes at most.
pub(crate) const MODEL_OUTPUT: u64 = 400;
/// Tokens that a call may be bounded with beside the bytes that the provider sees: templates, members that weir drops.
pub(crate) const MARGIN: u64 = 300;

/// Micro-dollars.
pub(crate) fn cost(input: u64, output: u64) -> u64 {
    input + 2 * output
}

/// Text of a project: number `n` of a kind, with more words the higher its number.
pub(crate) fn write(project: usize, is_written: bool, n: u32) -> String {
    let kind = if is_written { "written" } else { "told" };
    format!("[tenant {project} {kind}] {n} {}", "so much to say ".repeat(n as usize % 7))
}

/// The project that the last text of a body is of, and whether its answer is written down while it comes.
pub(crate) fn read(body: &str) -> (usize, bool) {
    let of = |text: &str| {
        let mut words = text.split([' ', ']']);
        Some((words.next()?.parse().ok()?, words.next()? == "written"))
    };
    body.rsplit_once("[tenant ").and_then(|(_, text)| of(text)).unwrap_or_default()
}
