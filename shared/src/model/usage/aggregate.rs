//! Sums counters by bucket and group. Pure: it uses no table and no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::buckets::Bucket;
use super::{Operation, UsageCount, UsageKey};
use crate::model::clock::Timestamp;

/// Selects the counters of a report and says how to group them. An empty set selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `None` selects all operations.
    pub operation: Option<Operation>,
    pub projects: BTreeSet<String>,
    pub api_keys: BTreeSet<String>,
    pub models: BTreeSet<String>,
    pub runs: BTreeSet<String>,
    pub group_by: Grouping,
}

/// The properties by which counters are grouped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grouping {
    pub project: bool,
    pub model: bool,
    pub api_key: bool,
    pub run: bool,
}

/// The properties that all counters of one sum share. A property is `None` if the report is not grouped by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub project_id: Option<String>,
    pub model: Option<String>,
    pub api_key_id: Option<String>,
    /// Empty for calls without a run.
    pub run: Option<String>,
}

/// The sums of one bucket, in the order of their groups. `sums` is empty if the bucket has no usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub bucket: Bucket,
    pub sums: Vec<(Group, UsageCount)>,
}

impl Selection {
    fn includes(&self, key: &UsageKey) -> bool {
        let selects = |set: &BTreeSet<String>, value: &str| set.is_empty() || set.contains(value);
        self.operation.is_none_or(|operation| operation == key.operation)
            && selects(&self.projects, &key.project_id)
            && selects(&self.api_keys, &key.api_key_id)
            && selects(&self.models, &key.model)
            && selects(&self.runs, &key.run)
    }

    fn group(&self, key: &UsageKey) -> Group {
        let by = |grouped: bool, value: &str| grouped.then(|| value.to_owned());
        Group {
            project_id: by(self.group_by.project, &key.project_id),
            model: by(self.group_by.model, &key.model),
            api_key_id: by(self.group_by.api_key, &key.api_key_id),
            run: by(self.group_by.run, &key.run),
        }
    }
}

/// Sums `counters` by bucket and group.
///
/// The buckets must be in order and must not overlap. A counter that lies in no bucket is ignored.
#[must_use]
pub fn aggregate(buckets: &[Bucket], counters: &[(UsageKey, UsageCount)], selection: &Selection) -> Vec<Tally> {
    // Hours are compared as text, because they sort in the order of time.
    let hour = |seconds: u64| Timestamp(seconds.saturating_mul(1_000)).hour();
    let hours: Vec<(String, String)> = buckets.iter().map(|bucket| (hour(bucket.start), hour(bucket.end))).collect();
    let mut sums = vec![BTreeMap::<Group, UsageCount>::new(); buckets.len()];
    for (key, count) in counters.iter().filter(|(key, _)| selection.includes(key)) {
        let at = hours.partition_point(|(_, end)| *end <= key.hour);
        if let (Some(sums), Some((start, _))) = (sums.get_mut(at), hours.get(at))
            && *start <= key.hour
        {
            *sums.entry(selection.group(key)).or_default() += *count;
        }
    }
    buckets.iter().zip(sums).map(|(&bucket, sums)| Tally { bucket, sums: sums.into_iter().collect() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::MicroUsd;
    use crate::model::tokens::Usage;

    /// 2026-01-01T00:00:00Z.
    const DAY: u64 = 1_767_225_600;

    fn counter(hour: u64, names: [&str; 3], requests: u64) -> (UsageKey, UsageCount) {
        let [project, model, key] = names.map(str::to_owned);
        let run_of_project = format!("run-{project}");
        let hour = Timestamp((DAY + hour * 3_600) * 1_000).hour();
        let key = UsageKey {
            project_id: project,
            hour,
            operation: Operation::Completions,
            model,
            api_key_id: key,
            run: run_of_project,
            shard: 0,
        };
        let tokens = Usage { input: requests * 10, cached_input: requests, output: requests * 2, ..Usage::default() };
        (key, UsageCount { requests, tokens, cost: MicroUsd(requests * 7) })
    }

    fn bucket(start: u64, end: u64) -> Bucket {
        Bucket { start: DAY + start * 3_600, end: DAY + end * 3_600 }
    }

    fn counters() -> Vec<(UsageKey, UsageCount)> {
        vec![
            counter(0, ["p1", "m1", "k1"], 1),
            counter(23, ["p1", "m2", "k1"], 2),
            counter(24, ["p1", "m1", "k2"], 4),
            counter(47, ["p2", "m1", "k3"], 8),
            counter(48, ["p2", "m1", "k3"], 16),
        ]
    }

    /// Compares the number of requests of each group, `project/model/key`, in each bucket.
    #[track_caller]
    fn check(selection: &Selection, expected: &[&[(&str, u64)]]) {
        let tallies = aggregate(&[bucket(0, 24), bucket(24, 48)], &counters(), selection);
        let name = |group: &Group| {
            [&group.project_id, &group.model, &group.api_key_id].map(|part| part.as_deref().unwrap_or("-").to_owned())
        };
        let found: Vec<Vec<(String, u64)>> = tallies
            .iter()
            .map(|tally| tally.sums.iter().map(|(group, count)| (name(group).join("/"), count.requests)).collect())
            .collect();
        let expected: Vec<Vec<(String, u64)>> = expected
            .iter()
            .map(|sums| sums.iter().map(|&(name, requests)| (name.to_owned(), requests)).collect())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_hour_belongs_to_the_bucket_it_begins_in() {
        check(&Selection::default(), &[&[("-/-/-", 3)], &[("-/-/-", 12)]]);
    }

    #[test]
    fn groups_by_the_requested_properties() {
        let by = |project, model, api_key| Selection {
            group_by: Grouping { project, model, api_key, run: false },
            ..Selection::default()
        };
        check(&by(true, false, false), &[&[("p1/-/-", 3)], &[("p1/-/-", 4), ("p2/-/-", 8)]]);
        check(&by(false, true, false), &[&[("-/m1/-", 1), ("-/m2/-", 2)], &[("-/m1/-", 12)]]);
        check(&by(false, false, true), &[&[("-/-/k1", 3)], &[("-/-/k2", 4), ("-/-/k3", 8)]]);
        check(&by(true, true, true), &[&[("p1/m1/k1", 1), ("p1/m2/k1", 2)], &[("p1/m1/k2", 4), ("p2/m1/k3", 8)]]);
    }

    #[test]
    fn groups_by_run() {
        let by_run = Selection { group_by: Grouping { run: true, ..Grouping::default() }, ..Selection::default() };
        let tallies = aggregate(&[bucket(0, 48)], &counters(), &by_run);
        let found = tallies[0].sums.iter().map(|(group, count)| (group.run.as_deref(), count.requests));
        assert_eq!(found.collect::<Vec<_>>(), [(Some("run-p1"), 7), (Some("run-p2"), 8)]);
    }

    #[test]
    fn filters_exclude_counters_that_they_do_not_name() {
        let set = |name: &str| BTreeSet::from([name.to_owned()]);
        check(&Selection { projects: set("p2"), ..Selection::default() }, &[&[], &[("-/-/-", 8)]]);
        check(&Selection { models: set("m2"), ..Selection::default() }, &[&[("-/-/-", 2)], &[]]);
        check(&Selection { runs: set("run-p2"), ..Selection::default() }, &[&[], &[("-/-/-", 8)]]);
        check(&Selection { api_keys: set("k1"), ..Selection::default() }, &[&[("-/-/-", 3)], &[]]);
        check(&Selection { operation: Some(Operation::Embeddings), ..Selection::default() }, &[&[], &[]]);
    }

    #[test]
    fn sums_every_field_of_a_count() {
        let tallies = aggregate(&[bucket(0, 72)], &counters(), &Selection::default());
        let tokens = Usage { input: 310, cached_input: 31, output: 62, ..Usage::default() };
        let sum = UsageCount { requests: 31, tokens, cost: MicroUsd(217) };
        assert_eq!(tallies, [Tally { bucket: bucket(0, 72), sums: vec![(Group::default(), sum)] }]);
    }
}
