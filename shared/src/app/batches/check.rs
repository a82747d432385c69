//! Checking the file of a batch, and cutting it into parts.

use std::collections::HashSet;

use super::lines::FileLine;
use crate::data::CheckedFile;
use crate::dialects::openai_batches::BatchLine;
use crate::model::batch::{BatchEndpoint, BatchError, MAX_LINES, PartRange};

/// The size of a part. With the line that fills it, it has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartSize {
    lines: u64,
    bytes: u64,
}

impl PartSize {
    /// Of lines that run here. A part costs seven writes of the table, which are billed as ten: 1,000 lines cost 52.
    pub(super) const DIRECT: Self = Self { lines: 200, bytes: 4 * 1024 * 1024 };
    /// Of lines that a provider gets as one batch. It is in memory when it is sent.
    pub(super) const NATIVE: Self = Self { lines: 2_000, bytes: 8 * 1024 * 1024 };
}

/// The most errors that are told. The rest of the file is not read then.
const MAX_ERRORS: usize = 100;

/// The size of the parts of a model.
type SizeOf<'a> = Box<dyn Fn(&str) -> PartSize + Send + Sync + 'a>;

/// What is known of a file so far.
pub(super) struct FileCheck<'a> {
    endpoint: BatchEndpoint,
    model: Option<String>,
    custom_ids: HashSet<Box<str>>,
    errors: Vec<BatchError>,
    parts: Vec<PartRange>,
    lines: u64,
    most: usize,
    size: PartSize,
    size_of: SizeOf<'a>,
}

impl<'a> FileCheck<'a> {
    /// `most`: the most bytes of a line.
    pub(super) fn new(endpoint: BatchEndpoint, most: usize) -> Self {
        Self {
            endpoint,
            model: None,
            custom_ids: HashSet::new(),
            errors: Vec::new(),
            parts: Vec::new(),
            lines: 0,
            most,
            size: PartSize::DIRECT,
            size_of: Box::new(|_| PartSize::DIRECT),
        }
    }

    /// Parts get the size that their model has.
    pub(super) fn with_sizes(self, size_of: SizeOf<'a>) -> Self {
        Self { size_of, ..self }
    }

    /// The model of the lines so far; `None`: no line names one yet.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Checks the next line.
    pub(super) fn take(&mut self, line: &FileLine) {
        if line.is_empty() {
            return self.extend(line);
        }
        self.lines += 1;
        if let Err(error) = self.check(line)
            && self.errors.len() < MAX_ERRORS
        {
            self.errors.push(BatchError { line: error.line.or(Some(line.number)), ..error });
        }
        let is_full = |part: &PartRange| {
            let is_apart = part.at + part.bytes != line.at;
            is_apart || part.requests >= self.size.lines || part.bytes + line.bytes > self.size.bytes
        };
        if self.parts.last().is_none_or(is_full) {
            self.parts.push(PartRange { at: line.at, bytes: 0, line: line.number, requests: 0 });
        }
        if let Some(part) = self.parts.last_mut() {
            part.requests += 1;
        }
        self.extend(line);
    }

    /// Whether the rest of the file need not be read.
    pub(super) fn is_hopeless(&self) -> bool {
        self.errors.len() >= MAX_ERRORS || self.lines > MAX_LINES
    }

    /// Whether no line is wrong so far.
    pub(super) fn is_good(&self) -> bool {
        self.errors.is_empty()
    }

    /// Adds a line to the last part; no empty line beyond its size.
    fn extend(&mut self, line: &FileLine) {
        let most = self.size.bytes;
        let has_room = |part: &&mut PartRange| !line.is_empty() || part.at + part.bytes == line.at && part.bytes < most;
        if let Some(part) = self.parts.last_mut().filter(has_room) {
            part.bytes += line.bytes;
        }
    }

    fn check(&mut self, line: &FileLine) -> Result<(), BatchError> {
        let Some(text) = &line.text else {
            let message = format!("This line has {} bytes, expected at most {}.", line.bytes, self.most);
            return Err(error("line_too_large", message, None));
        };
        let BatchLine { custom_id, model, .. } = BatchLine::read(text, self.endpoint)?;
        let first = self.model.get_or_insert_with(|| {
            self.size = (self.size_of)(&model);
            model.clone()
        });
        if *first != model {
            let message =
                format!("This line names the model `{model}`, those before it `{first}`: a batch has one model.");
            return Err(error("model_mismatch", message, Some("body.model")));
        }
        if !self.custom_ids.insert(custom_id.clone().into()) {
            let message = format!("The custom_id `{custom_id}` is that of another line, too.");
            return Err(error("duplicate_custom_id", message, Some("custom_id")));
        }
        Ok(())
    }

    /// The parts of a file that can be run.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn finish(self) -> Result<(CheckedFile, Vec<PartRange>), Vec<BatchError>> {
        let mut errors = self.errors;
        if self.lines > MAX_LINES {
            let message = format!("The file has more than {MAX_LINES} requests. Make several batches of it.");
            errors.push(error("too_many_tasks", message, None));
        }
        match self.model {
            Some(model) if errors.is_empty() => {
                let parts = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
                let is_native = self.size == PartSize::NATIVE;
                Ok((CheckedFile { model, lines: self.lines, parts, is_native }, self.parts))
            }
            None if errors.is_empty() => Err(vec![error("empty_file", "The file has no requests.".to_owned(), None)]),
            _ => Err(errors),
        }
    }
}

pub(super) fn error(code: &'static str, message: String, param: Option<&str>) -> BatchError {
    BatchError { code: code.into(), message, param: param.map(str::to_owned), line: None }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::lines::Lines;
    use super::*;
    use crate::model::provider::Endpoint;

    /// Codes of errors with their lines.
    type Wrong = Vec<(Cow<'static, str>, Option<u64>)>;

    fn check(file: &str) -> Result<(CheckedFile, Vec<PartRange>), Wrong> {
        let mut check = FileCheck::new(BatchEndpoint::Call(Endpoint::Embeddings), 10_000);
        let mut lines = Lines::from(0, 1, 10_000);
        lines.push(file.as_bytes());
        while let Some(line) = lines.next() {
            check.take(&line);
        }
        lines.last().iter().for_each(|line| check.take(line));
        check.finish().map_err(|errors| errors.into_iter().map(|error| (error.code, error.line)).collect())
    }

    fn line(custom_id: &str, model: &str) -> String {
        format!(r#"{{"custom_id":"{custom_id}","method":"POST","url":"/v1/embeddings","body":{{"model":"{model}"}}}}"#)
            + "\n"
    }

    #[test]
    fn each_line_is_in_one_part() {
        let file: String =
            (0..450).map(|n| if n % 150 == 7 { "\n".to_owned() } else { line(&n.to_string(), "m") }).collect();
        let (checked, parts) = check(&file).unwrap();
        assert_eq!(checked, CheckedFile { model: "m".into(), lines: 447, parts: 3, is_native: false });
        let mut at = 0;
        for part in &parts {
            assert_eq!(part.at, at);
            at += part.bytes;
        }
        assert_eq!(at, file.len() as u64);
        assert_eq!(parts.iter().map(|part| part.line).collect::<Vec<_>>(), [1, 203, 404]);
    }

    #[test]
    fn empty_lines_beyond_the_size_of_a_part_are_in_none() {
        let blank = "\n".repeat(9 * 1024 * 1024);
        let (checked, parts) = check(&[&line("a", "m"), &*blank, &line("b", "m"), "\n"].concat()).unwrap();
        assert_eq!((checked.lines, parts.len()), (2, 2));
        assert!(parts.iter().all(|part| part.requests == 1 && part.bytes <= PartSize::DIRECT.bytes), "{parts:?}");
        assert_eq!(parts[1].line, 2 + blank.len() as u64);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let of = |code: &'static str, line: u64| (code.into(), Some(line));
        let file = [&line("a", "m"), "x\n", &line("a", "m"), &line("b", "n"), &line("c", &"m".repeat(20_000))].concat();
        let expected = [
            of("invalid_json_line", 2),
            of("duplicate_custom_id", 3),
            of("model_mismatch", 4),
            of("line_too_large", 5),
        ];
        assert_eq!(check(&file).unwrap_err(), expected);
        assert_eq!(check(" \n\n").unwrap_err(), [("empty_file".into(), None)]);
        let many: String = (0..=50_000).map(|n| line(&n.to_string(), "m")).collect();
        assert_eq!(check(&many).unwrap_err(), [("too_many_tasks".into(), None)]);
    }
}
