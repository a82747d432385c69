//! Resolves names, and checks every address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolving};
use shared::model::shortage::is_shortage;

use crate::address::is_allowed;

/// Resolves names to addresses. The caller checks the addresses.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of a name.
    ///
    /// # Errors
    /// If the name has no address, or the resolver fails.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver that returns addresses only if all addresses of the name are allowed.
///
/// A name with one forbidden address is refused as a whole: no honest name has public and private addresses.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) permit_loopback: bool,
}

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It has no address.
    Name,
    /// It has an address that is not allowed.
    Address,
    /// weir had no file descriptor to look it up.
    Shortage,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "the name has no address",
            Self::Address => "the name has an address that is not allowed",
            Self::Shortage => "the name could not be looked up",
        })
    }
}

impl std::error::Error for Unusable {}

impl Checked {
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Unusable> {
        let reason = |error| if is_shortage(&error) { Unusable::Shortage } else { Unusable::Name };
        let found = self.resolver.resolve(name).await.map_err(reason)?;
        if found.is_empty() {
            return Err(Unusable::Name);
        }
        if found.iter().all(|address| is_allowed(*address, self.permit_loopback)) {
            Ok(found)
        } else {
            Err(Unusable::Address)
        }
    }
}

impl reqwest::dns::Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
