//! Quotes of batches: the file is read to its end, in little memory, and each line is priced as it would be before it is run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::check::FileCheck;
use super::find_input;
use super::line::NamedLine;
use super::lines::{FileLine, Lines};
use super::terms::LineTerms;
use super::worker::MAX_LINE_BYTES;
use crate::app::admission::{Admission, AdmissionRequest, LevelQuote, Levels};
use crate::app::call_files::require_files_read;
use crate::app::error::{Error, RenderedError};
use crate::app::files::require_retention;
use crate::app::models::{Models, ServedModels};
use crate::app::pipeline::{CallOptions, check_callable, find_model};
use crate::data::{FileRecords, StoreError};
use crate::dialects::openai_batches::CreateBatch;
use crate::model::batch::{BatchError, MAX_BATCH_BYTES};
use crate::model::clock::Clock;
use crate::model::file::File;
use crate::model::invalid::Invalid;
use crate::model::long_work::long_work;
use crate::model::meter::Run;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::tokens::Bound;

/// The longest that a quote may take, with the time that it waits for others.
const LONGEST: Duration = Duration::from_secs(60);

/// Quotes batches.
pub(in crate::app) struct BatchQuotes {
    files: FileRecords,
    models: Arc<Models>,
    admission: Arc<Admission>,
    clock: Clock,
    /// A file of 200 MB takes a processor for seconds. So a process reads one at a time.
    reading: Semaphore,
}

/// What the lines of a batch can use and cost at most, and what the levels would say to all of them at once.
#[derive(Debug, Clone)]
pub struct BatchQuote {
    pub model: String,
    /// The lines of the file, those that are refused too.
    pub lines: u64,
    pub bound: Bound,
    /// `None` if the model has no price.
    pub max_cost: Option<MicroUsd>,
    /// Lines that would not be run. They cost nothing.
    pub refused: u64,
    /// The first of them.
    pub first_refused: Option<RefusedLine>,
    pub levels: Vec<LevelQuote>,
}

/// A line that would not be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLine {
    /// Counted from 1.
    pub line: u64,
    /// As the file of errors would have it.
    pub error: RenderedError,
}

/// The sums of the lines that were priced so far.
#[derive(Default)]
struct Priced {
    bound: Bound,
    amount: MicroUsd,
    refused: u64,
    first_refused: Option<RefusedLine>,
}

impl BatchQuotes {
    pub(in crate::app) fn new(
        files: FileRecords,
        models: Arc<Models>,
        admission: Arc<Admission>,
        clock: Clock,
    ) -> Self {
        Self { files, models, admission, clock, reading: Semaphore::new(1) }
    }

    /// Quotes the batch that `create` would make.
    ///
    /// # Errors
    /// `Forbidden` if the key may not read files or may not call the model; `Invalid` if the batch would be refused, or if its file would
    /// fail it: then with the first line that is wrong; `NoModels`, `UnknownModel`, `WrongModel`; `Unavailable` if the file was not read in
    /// time.
    pub(in crate::app) async fn quote(
        &self,
        caller: &Caller,
        create: &CreateBatch,
        options: &CallOptions,
    ) -> Result<BatchQuote, Error> {
        require_retention(&caller.project.policy)?;
        require_files_read(caller)?;
        let run = options.run.named(Some(&create.metadata))?;
        let run = run.map(|name| Run::new(name, options.run.budget, &caller.project.policy));
        let served = self.models.current().await?;
        let file = find_input(&self.files, caller, &create.input_file_id, self.clock.now()).await?;
        if file.bytes > MAX_BATCH_BYTES {
            let message = format!("The file has {} bytes, expected at most {MAX_BATCH_BYTES}.", file.bytes);
            return Err(Invalid { code: Some("file_too_large"), ..Invalid::field("input_file_id", message) }.into());
        }
        let budgets = [caller.project.limits.budget, caller.key.limits.budget];
        let reading = FileReading {
            caller,
            served: &served,
            create,
            options,
            terms: LineTerms {
                clock: &self.clock,
                endpoint: create.endpoint,
                project: &caller.project,
                served: &served,
            },
            budgeted: run.is_some() || budgets.iter().any(Option::is_some),
            check: FileCheck::new(create.endpoint, MAX_LINE_BYTES),
            priced: Priced::default(),
        };
        let read = async {
            let _alone = self.reading.acquire().await;
            reading.read(&self.files, &file).await
        };
        let (model, lines, priced) = timeout(LONGEST, read).await.unwrap_or_else(|_| Err(too_slow()))?;
        let has_price = find_model(&served, &model, create.endpoint.called())?.price.is_some();
        let levels = Levels { project: &caller.project, key: Some(&caller.key), run: run.as_ref() };
        let request = AdmissionRequest::of_many(levels, &model, priced.amount, self.clock.now());
        Ok(BatchQuote {
            levels: self.admission.quote(&request).await?,
            lines,
            bound: priced.bound,
            max_cost: has_price.then_some(priced.amount),
            refused: priced.refused,
            first_refused: priced.first_refused,
            model,
        })
    }
}

/// A file that is read, checked and priced line by line.
struct FileReading<'a> {
    caller: &'a Caller,
    served: &'a Arc<ServedModels>,
    create: &'a CreateBatch,
    options: &'a CallOptions,
    terms: LineTerms<'a>,
    budgeted: bool,
    check: FileCheck<'static>,
    priced: Priced,
}

impl FileReading<'_> {
    /// Reads a file. Returns the model of its lines, their number, and what they can cost.
    async fn read(mut self, files: &FileRecords, file: &File) -> Result<(String, u64, Priced), Error> {
        let mut lines = Lines::from(0, 1, MAX_LINE_BYTES);
        let mut pieces = files.read(file, None).await?;
        while let Some(piece) = pieces.next().await {
            self.take_piece(&mut lines, piece)?;
            if self.check.is_hopeless() {
                break;
            }
            // Other requests of this process go on meanwhile.
            tokio::task::yield_now().await;
        }
        if let Some(line) = lines.last().filter(|_| !self.check.is_hopeless()) {
            self.take(&line)?;
        }
        let (checked, _) = self.check.finish().map_err(wrong_file)?;
        Ok((checked.model, checked.lines, self.priced))
    }

    fn take_piece(&mut self, lines: &mut Lines, piece: Result<bytes::Bytes, StoreError>) -> Result<(), Error> {
        let piece = piece?;
        lines.push(&piece);
        long_work(piece.len(), || {
            while let Some(line) = lines.next() {
                self.take(&line)?;
                if self.check.is_hopeless() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Checks a line, and prices it if the file is good so far.
    fn take(&mut self, line: &FileLine) -> Result<(), Error> {
        let is_first = self.check.model().is_none();
        self.check.take(line);
        if let Some(model) = self.check.model().filter(|_| is_first) {
            check_callable(self.served, self.caller, model, self.create.endpoint.called())?;
        }
        if line.is_empty() || !self.check.is_good() {
            return Ok(());
        }
        // The check has read the line.
        let Ok(named) = NamedLine::read(line, self.create.endpoint) else { return Ok(()) };
        // A line that a provider's batch takes may have to run here after all, at its usual price.
        match self.terms.prepare(named, self.budgeted, false) {
            Ok(prepared) => {
                let (sum, bound) = (&mut self.priced.bound, prepared.bound);
                sum.input = sum.input.saturating_add(bound.input);
                sum.output = sum.output.saturating_add(bound.output);
                sum.pieces = sum.pieces.saturating_add(bound.pieces);
                self.priced.amount += prepared.amount;
            }
            Err(refused) => {
                self.priced.refused += 1;
                let render = || RefusedLine { line: line.number, error: (self.options.render_error)(&refused.1) };
                self.priced.first_refused.get_or_insert_with(render);
            }
        }
        Ok(())
    }
}

/// The error for a file that would fail its batch: the first of its errors.
fn wrong_file(errors: Vec<BatchError>) -> Error {
    let count = errors.len();
    let Some(BatchError { code, message, param, line }) = errors.into_iter().next() else {
        return Error::internal("check the file")("it has no error");
    };
    let place = line.map_or_else(String::new, |line| format!("Line {line} of the input file: "));
    let others = if count == 1 { String::new() } else { format!(" It is the first of {count} errors.") };
    let code = match code {
        std::borrow::Cow::Borrowed(code) => Some(code),
        std::borrow::Cow::Owned(_) => None,
    };
    let param = param.or_else(|| Some("input_file_id".to_owned()));
    Invalid { message: format!("{place}{message}{others}"), param, code }.into()
}

fn too_slow() -> Error {
    Error::Unavailable { action: "read the file of the batch in time", source: "others are read, or it is slow".into() }
}
