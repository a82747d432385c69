//! The restrictions of an API key in requests.

use shared::model::invalid::Invalid;
use shared::model::key_rights::{AddressRange, KeyRightsPatch};
use shared::model::model_names::ModelNames;
use shared::model::patch::Patch;
use shared::model::scope::{Scope, scope_names};

/// The most addresses of a key.
const MAX_ADDRESSES: usize = 100;

/// The restrictions in a request: an absent field keeps one, `null` removes it.
///
/// Bodies name each field themselves instead of flattening this: serde would then take members that nobody knows, and a
/// mistyped restriction would restrict nothing.
pub(crate) struct RightsBody {
    pub(crate) scopes: Patch<Vec<String>>,
    pub(crate) models: Patch<Vec<String>>,
    pub(crate) expires_at: Patch<u64>,
    pub(crate) allowed_ips: Patch<Vec<String>>,
}

impl RightsBody {
    /// # Errors
    /// `Invalid` if a scope is unknown, a name or an address has another form, or there is none or too many.
    pub(crate) fn patch(self) -> Result<KeyRightsPatch, Invalid> {
        let scopes = |names| some("scopes", names)?.iter().map(|name| parse_scope(name)).collect();
        let models = |names| ModelNames::parse("models", some("models", names)?);
        let ranges = |texts| {
            let texts = some("allowed_ips", texts)?;
            if texts.len() > MAX_ADDRESSES {
                let message = format!("`allowed_ips` has {} addresses, expected at most {MAX_ADDRESSES}.", texts.len());
                return Err(Invalid::field("allowed_ips", message));
            }
            texts.iter().map(|text| AddressRange::parse("allowed_ips", text)).collect()
        };
        Ok(KeyRightsPatch {
            scopes: self.scopes.try_map(scopes)?,
            models: self.models.try_map(models)?,
            expires_at: self.expires_at,
            allowed_ips: self.allowed_ips.try_map(ranges)?,
        })
    }
}

/// A key that may do nothing is a mistake.
fn some(param: &str, list: Vec<String>) -> Result<Vec<String>, Invalid> {
    match list.is_empty() {
        true => Err(Invalid::field(
            param,
            format!("`{param}` is empty: nothing would be allowed. Send null for everything."),
        )),
        false => Ok(list),
    }
}

fn parse_scope(name: &str) -> Result<Scope, Invalid> {
    let known = || scope_names(&Scope::ALL);
    Scope::parse(name)
        .ok_or_else(|| Invalid::field("scopes", format!("`scopes` has `{name}`, expected some of: {}.", known())))
}
