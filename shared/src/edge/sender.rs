//! Who sends a request: where it comes from, and its key once that is known. The log shows it.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::http::Extensions;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;

/// The address at the other end of the connection, where no API Gateway is.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// The address that a request came from, as API Gateway saw it, or else the server that accepted the connection. No header is
/// read: a client can send any.
pub(super) fn source_address(extensions: &Extensions) -> Option<IpAddr> {
    let of_gateway = |context: &RequestContext| match context {
        RequestContext::ApiGatewayV1(context) => context.identity.source_ip.clone(),
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.clone(),
        _ => None,
    };
    match extensions.request_context_ref() {
        Some(context) => of_gateway(context)?.parse().ok(),
        None => extensions.get().map(|PeerAddress(address)| *address),
    }
}

/// The place for the key of a request. The log makes it, the extractor that checks the key fills it.
#[derive(Debug, Clone, Default)]
pub(super) struct SenderSlot(Arc<OnceLock<Sender>>);

/// Ids, never the key itself.
#[derive(Debug)]
pub(super) struct Sender {
    /// `None` for an admin key.
    pub(super) project_id: Option<String>,
    pub(super) key_id: String,
}

impl SenderSlot {
    pub(super) fn get(&self) -> Option<&Sender> {
        self.0.get()
    }
}

/// Tells the log of a request whose key it carries.
pub(super) fn tell(extensions: &Extensions, project_id: Option<&str>, key_id: &str) {
    if let Some(SenderSlot(slot)) = extensions.get() {
        let _ = slot.set(Sender { project_id: project_id.map(str::to_owned), key_id: key_id.to_owned() });
    }
}
