//! Why a key is refused.

use std::net::IpAddr;

/// Why a key is refused, in words for its holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("You didn't provide an API key. Send it as one header, `Authorization: Bearer sk-weir-...`.")]
    Missing,
    /// weir never made such a key.
    #[error(
        "Incorrect API key provided. Keys begin with `sk-weir-`; an administrator makes them with POST /v1/organization/projects/{{id}}/service_accounts."
    )]
    Wrong,
    /// weir made the key, and the table does not have it.
    #[error(
        "Incorrect API key provided: it was revoked. An administrator makes keys with POST /v1/organization/projects/{{id}}/service_accounts."
    )]
    Revoked,
    #[error("The project of this API key is archived.")]
    Archived,
    #[error("This API key expired at {expired_at} (Unix seconds). Ask an administrator for another one.")]
    Expired { expired_at: u64 },
    #[error("This API key is not taken from {}. Ask an administrator to allow the address.", shown(.address.as_ref()))]
    Address { address: Option<IpAddr> },
    #[error(
        "The admin API is not reachable from {}. The operator of the deployment sets the addresses.", shown(.address.as_ref())
    )]
    AdminAddress { address: Option<IpAddr> },
    #[error("Incorrect admin key provided. The admin API takes the admin key, not a project's key.")]
    WrongAdmin,
}

fn shown(address: Option<&IpAddr>) -> String {
    address.map_or_else(|| "an address that is not known".to_owned(), |address| format!("the address {address}"))
}
