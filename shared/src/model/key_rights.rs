//! What an API key may do in its project: scopes, models, a time and addresses. `None` restricts nothing.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::invalid::Invalid;
use super::model_names::ModelNames;
use super::patch::Patch;
use super::scope::Scope;

/// The restrictions of an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRights {
    /// The routes that the key may use.
    pub scopes: Option<Vec<Scope>>,
    /// The models that the key may use, of those that its project may.
    pub models: Option<ModelNames>,
    /// Unix seconds. From this second on the key is refused.
    pub expires_at: Option<u64>,
    /// The addresses that the key is taken from.
    pub allowed_ips: Option<Vec<AddressRange>>,
}

impl KeyRights {
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        has_expired(self.expires_at, now)
    }

    #[must_use]
    pub fn allow_scope(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether the key is taken from an address. One that is not known is on no list.
    #[must_use]
    pub fn allow_address(&self, address: Option<IpAddr>) -> bool {
        self.allowed_ips.as_ref().is_none_or(|ranges| AddressRange::any_has(ranges, address))
    }
}

/// Whether a second has come.
#[must_use]
pub fn has_expired(expires_at: Option<u64>, now: Timestamp) -> bool {
    expires_at.is_some_and(|second| second <= now.seconds())
}

/// A change of a key's rights. `Clear` removes a restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRightsPatch {
    pub scopes: Patch<Vec<Scope>>,
    pub models: Patch<ModelNames>,
    pub expires_at: Patch<u64>,
    pub allowed_ips: Patch<Vec<AddressRange>>,
}

impl KeyRightsPatch {
    /// Returns the rights after the change.
    #[must_use]
    pub fn apply(&self, before: KeyRights) -> KeyRights {
        KeyRights {
            scopes: self.scopes.clone().apply(before.scopes),
            models: self.models.clone().apply(before.models),
            expires_at: self.expires_at.apply(before.expires_at),
            allowed_ips: self.allowed_ips.clone().apply(before.allowed_ips),
        }
    }
}

/// Addresses of version 4 or 6 that begin alike, as `203.0.113.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads an address or a range. Bits after the prefix are ignored.
    ///
    /// # Errors
    /// `Invalid`, for `param`, if the text is neither.
    pub fn parse(param: &str, text: &str) -> Result<Self, Invalid> {
        let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        range.map(|range: IpNet| Self(range.trunc())).map_err(|_| {
            Invalid::field(
                param,
                format!("`{param}` has `{text}`, expected addresses as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32."),
            )
        })
    }

    /// Reads addresses and ranges between commas; `None`: the text has none.
    ///
    /// # Errors
    /// As [`AddressRange::parse`].
    pub fn parse_list(param: &str, text: &str) -> Result<Option<Vec<Self>>, Invalid> {
        let ranges = text.split(',').map(str::trim).filter(|range| !range.is_empty());
        let ranges = ranges.map(|range| Self::parse(param, range)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(ranges).filter(|ranges| !ranges.is_empty()))
    }

    /// Whether one of the ranges has an address. One that is not known is in none.
    #[must_use]
    pub fn any_has(ranges: &[Self], address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| ranges.iter().any(|range| range.has(address)))
    }

    /// Whether the range has an address. `::ffff:203.0.113.7` is 203.0.113.7.
    fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl TryFrom<String> for AddressRange {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse("allowed_ips", &text)
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(ranges: &[&str]) -> KeyRights {
        let ranges = ranges.iter().map(|range| AddressRange::parse("allowed_ips", range).unwrap()).collect();
        KeyRights { allowed_ips: Some(ranges), ..KeyRights::default() }
    }

    #[test]
    fn an_address_is_in_a_range_of_its_version() {
        let rights = from(&["203.0.113.9/24", "198.51.100.7", "2001:db8::/32"]);
        for (address, expected) in [
            ("203.0.113.255", true),
            ("203.0.114.0", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("::ffff:198.51.100.7", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(rights.allow_address(address.parse().ok()), expected, "{address}");
        }
        assert!(!rights.allow_address(None) && KeyRights::default().allow_address(None));
        assert!(!from(&[]).allow_address("203.0.113.1".parse().ok()));
    }

    #[test]
    fn refuses_what_is_no_range() {
        for wrong in ["", "203.0.113", "203.0.113.0/33", "example.com", "203.0.113.0-9"] {
            assert_eq!(AddressRange::parse("allowed_ips", wrong).unwrap_err().param.as_deref(), Some("allowed_ips"));
        }
    }

    #[test]
    fn a_key_expires_with_its_second() {
        let rights = KeyRights { expires_at: Some(7), ..KeyRights::default() };
        assert_eq!([6_999, 7_000].map(|ms| rights.has_expired(Timestamp(ms))), [false, true]);
        assert!(!KeyRights::default().has_expired(Timestamp(u64::MAX)));
    }

    #[test]
    fn rights_read_back() {
        let rights = KeyRights {
            scopes: Some(vec![Scope::ModelRead]),
            models: Some(ModelNames::parse("models", vec!["a*".into()]).unwrap()),
            expires_at: Some(7),
            ..from(&["203.0.113.0/24", "2001:db8::/32"])
        };
        let json = serde_json::to_string(&rights).unwrap();
        assert!(json.contains(r#""scopes":["api.model.read"],"models":["a*"]"#), "{json}");
        assert_eq!(serde_json::from_str::<KeyRights>(&json).unwrap(), rights);
    }
}
