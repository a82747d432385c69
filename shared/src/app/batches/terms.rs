//! What the lines of a batch are checked and priced by.

use super::line::NamedLine;
use crate::app::error::Error;
use crate::app::models::ServedModels;
use crate::app::pipeline::find_model;
use crate::dialects::openai_chat::{Body, accountable, bound};
use crate::dialects::openai_responses::CreateResponse;
use crate::model::batch::BatchEndpoint;
use crate::model::catalog::Model;
use crate::model::clock::Clock;
use crate::model::invalid::Invalid;
use crate::model::money::MicroUsd;
use crate::model::project::Project;
use crate::model::tokens::Bound;

/// A line that was checked, priced and bounded.
pub(super) struct PreparedLine {
    pub(super) line: NamedLine,
    /// For a response; else the answer passes as it is.
    pub(super) create: Option<Box<CreateResponse>>,
    pub(super) body: Body,
    pub(super) model: Model,
    pub(super) bound: Bound,
    /// The most that it can cost.
    pub(super) amount: MicroUsd,
    /// It has the price of a provider's batch.
    pub(super) is_native: bool,
}

impl PreparedLine {
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn model_name(&self) -> String {
        self.model.name.clone()
    }
}

/// What lines are priced with.
pub(super) struct LineTerms<'a> {
    pub(super) clock: &'a Clock,
    pub(super) endpoint: BatchEndpoint,
    pub(super) project: &'a Project,
    pub(super) served: &'a ServedModels,
}

impl LineTerms<'_> {
    /// Checks, prices and bounds a line. `is_native`: for a provider's batch, if it can be in one.
    ///
    /// # Errors
    /// Why it cannot be run, as a call of its own would be refused.
    pub(super) fn prepare(
        &self,
        line: NamedLine,
        budgeted: bool,
        is_native: bool,
    ) -> Result<PreparedLine, Box<(NamedLine, Error)>> {
        let prepared = self.read(&line.body).and_then(|(create, body)| {
            let model = find_model(self.served, &body.model, self.endpoint.called())?;
            // A line that asks for a service tier gets it: it runs here.
            let is_native = is_native && !body.has_tier();
            let model = match is_native {
                true => accountable::priced(&model.clone().in_batch(), &body),
                false => accountable::priced(model, &body),
            };
            if budgeted {
                accountable::check(&body, &model)?;
            }
            Ok((create, body, model, is_native))
        });
        match prepared {
            Ok((create, body, model, is_native)) => {
                let bound = bound::bound(&body, &model, &self.project.policy);
                let amount = model.worst_case(&bound);
                Ok(PreparedLine { line, create, body, model, bound, amount, is_native })
            }
            Err(error) => Err(Box::new((line, error))),
        }
    }

    fn read(&self, json: &[u8]) -> Result<(Option<Box<CreateResponse>>, Body), Error> {
        let not_in_batch = |param: &str, why: &str| {
            Error::Invalid(Invalid::field(param, format!("`{param}` cannot be used in a batch: {why}.")))
        };
        let create = match self.endpoint {
            BatchEndpoint::Call(endpoint) => {
                let body = Body::parse(endpoint, json)?;
                if body.stream {
                    return Err(not_in_batch("stream", "leave it out, the results are in a file"));
                }
                refuse_files(&body)?;
                return Ok((None, body));
            }
            BatchEndpoint::Responses => CreateResponse::parse(json, self.clock.now())?,
        };
        let refused = [
            (create.stream, "stream", "leave it out, the results are in a file"),
            (create.background, "background", "leave it out, all lines run in the background"),
            (create.previous_response_id.is_some(), "previous_response_id", "send the turns before in `input`"),
            (
                create.conversation.is_some(),
                "conversation",
                "send the turns before in `input`, because lines run in any order",
            ),
        ];
        if let Some((_, param, why)) = refused.into_iter().find(|(is_used, ..)| *is_used) {
            return Err(not_in_batch(param, why));
        }
        let chat = create.chat(&[])?;
        refuse_files(&chat)?;
        Ok((Some(Box::new(create)), chat))
    }
}

/// Refuses a line that names uploaded files: the lines of a wave run at the same time, and their files would not fit into memory.
fn refuse_files(body: &Body) -> Result<(), Error> {
    let why = "Files cannot be named in a batch: send their contents in its lines, or make a call of its own.";
    if body.files.is_empty() {
        return Ok(());
    }
    let param = body.files.first_path().map(str::to_owned);
    Err(Invalid { message: why.to_owned(), param, code: Some("unsupported_file") }.into())
}
