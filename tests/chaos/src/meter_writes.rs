//! The writes to meters, by meter, so that invariants read again only the meters that were written since.

use std::collections::HashMap;
use std::sync::Mutex;

use shared::model::meter::{MeterKey, Scope};

use crate::sim::lock;

/// Counts of the writes so far.
#[derive(Default)]
pub(crate) struct MeterWrites(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    all: u64,
    by_meter: HashMap<String, u64>,
}

/// The partition key of each shard of a meter begins so. The name of the meter and the shard follow.
const PREFIX: &str = "METER#";

impl MeterWrites {
    /// Counts a call of the table that may have written meters: those that its body names.
    pub(crate) fn note(&self, body: &[u8]) {
        let Ok(body) = std::str::from_utf8(body) else { return };
        let mut counts = lock(&self.0);
        for (at, _) in body.match_indices(PREFIX) {
            let key = body[at + PREFIX.len()..].split('"').next().unwrap_or_default();
            let Some((meter, _)) = key.rsplit_once('#') else { continue };
            counts.all += 1;
            *counts.by_meter.entry(meter.to_owned()).or_default() += 1;
        }
    }

    /// All writes so far.
    pub(crate) fn all(&self) -> u64 {
        lock(&self.0).all
    }

    /// The writes so far to a meter, of all months.
    pub(crate) fn of(&self, meter: &MeterKey) -> u64 {
        lock(&self.0).by_meter.get(&name_of(meter)).copied().unwrap_or_default()
    }
}

fn name_of(MeterKey { project_id, scope, .. }: &MeterKey) -> String {
    match scope {
        Scope::Project => project_id.clone(),
        Scope::ApiKey(hash) => format!("{project_id}#KEY#{hash}"),
        Scope::Run(hash) => format!("{project_id}#RUN#{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_meter_that_a_body_names() {
        let writes = MeterWrites::default();
        writes.note(br#"{"Key":{"pk":{"S":"METER#proj_1#3"},"sk":{"S":"2026-11"}}}"#);
        writes.note(
            br#"[{"pk":{"S":"METER#proj_1#KEY#ab#0"}},{"pk":{"S":"METER#proj_1#12"}},{"pk":{"S":"RESP#proj_1"}}]"#,
        );
        let of_project = MeterKey::of_project("proj_1", "2026-11".to_owned());
        let of = |scope| writes.of(&MeterKey { scope, ..of_project.clone() });
        assert_eq!([of(Scope::Project), of(Scope::ApiKey("ab".into())), of(Scope::Run("ab".into()))], [2, 1, 0]);
        assert_eq!(writes.all(), 3);
    }
}
