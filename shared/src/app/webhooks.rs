use super::{Error, Gateway};
use crate::model::webhook::WebhookEvent;
impl Gateway { pub(super) async fn announce(&self, _: &str, _: &WebhookEvent, _: Option<&str>) -> Result<(), Error> { Ok(()) } }
