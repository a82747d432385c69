//! The query parameters of the reports.

use std::collections::BTreeSet;

use shared::app::usage::UsageQuery;
use shared::edge::Params;
use shared::model::clock::Timestamp;
use shared::model::invalid::Invalid;
use shared::model::usage::Operation;
use shared::model::usage::{Grouping, Range, Selection, Width};

/// The width of a minute.
const MINUTE: &str = "1m";
const NOT_BY_BATCH: &str = "weir does not count the usage of batches apart. Leave `batch` out: the report has the usage of \
                            batches and of single calls.";

/// The requested report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Usage(Operation),
    Costs,
}

impl Report {
    /// Reads the parameters. A range without an end ends at `now`.
    ///
    /// # Errors
    /// `Invalid`, with the name of the parameter, if one is invalid or weir cannot apply it.
    pub(crate) fn query(self, params: &Params, now: Timestamp) -> Result<UsageQuery, Invalid> {
        refuse(params, "user_ids", "weir has no users; filter by `api_key_ids` or `project_ids`.")?;
        if params.flag("batch")? == Some(true) {
            return Err(Invalid::field("batch", NOT_BY_BATCH));
        }
        let width = self.width(params)?;
        let missing =
            || Invalid::field("start_time", "`start_time` is missing: Unix seconds, the begin of the report.");
        let start = params.number("start_time")?.ok_or_else(missing)?;
        Ok(UsageQuery {
            range: Range::new(start, params.number("end_time")?, width, now)?,
            from: params.text("page").map(read_page).transpose()?,
            limit: self.limit(params, width)?,
            selection: Selection {
                operation: match self {
                    Self::Usage(operation) => Some(operation),
                    Self::Costs => None,
                },
                projects: read_set(params, "project_ids"),
                api_keys: read_set(params, "api_key_ids"),
                models: read_set(params, "models"),
                runs: read_set(params, "run_ids"),
                group_by: self.grouping(params)?,
            },
        })
    }

    fn width(self, params: &Params) -> Result<Width, Invalid> {
        let wrong = |message: &str| Err(Invalid::field("bucket_width", message));
        match (params.text("bucket_width"), self) {
            (None | Some("1d"), _) => Ok(Width::Day),
            (Some(_), Self::Costs) => wrong("Costs have a `bucket_width` of `1d` only."),
            // The counters are hourly, so buckets of minutes are as wide as an hour. They say where they begin and end.
            (Some("1h" | MINUTE), Self::Usage(_)) => Ok(Width::Hour),
            (Some(_), Self::Usage(_)) => wrong("`bucket_width` can be `1m`, `1h` or `1d`."),
        }
    }

    /// The number of buckets of a page. Defaults and maxima are OpenAI's.
    fn limit(self, params: &Params, width: Width) -> Result<usize, Invalid> {
        let in_minutes = params.text("bucket_width") == Some(MINUTE);
        let (default, max) = match (self, width) {
            (Self::Costs, _) => (7, 180),
            (Self::Usage(_), Width::Day) => (7, 31),
            (Self::Usage(_), Width::Hour) if in_minutes => (60, 1_440),
            (Self::Usage(_), Width::Hour) => (24, 168),
        };
        let limit = params.number("limit")?.unwrap_or(default);
        let wrong = || Invalid::field("limit", format!("`limit` is {limit}, expected 1 to {max} buckets."));
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=max).contains(limit)).ok_or_else(wrong)?;
        // A page has the hours in which so many minutes are.
        Ok(if in_minutes { limit.div_ceil(60) } else { limit })
    }

    fn grouping(self, params: &Params) -> Result<Grouping, Invalid> {
        let mut grouping = Grouping::default();
        for field in params.list("group_by") {
            match (field, self) {
                ("project_id", _) => grouping.project = true,
                ("api_key_id", _) => grouping.api_key = true,
                ("run_id", _) => grouping.run = true,
                // Nothing is counted by them: their members are `null`.
                ("user_id", Self::Usage(_)) | ("batch" | "service_tier", Self::Usage(Operation::Completions)) => {}
                ("model", Self::Usage(_)) | ("line_item", Self::Costs) => grouping.model = true,
                _ => return Err(Invalid::field("group_by", self.unknown_group(field))),
            }
        }
        Ok(grouping)
    }

    fn unknown_group(self, field: &str) -> String {
        let known = match self {
            Self::Usage(_) => "`project_id`, `model`, `api_key_id` and `run_id`",
            Self::Costs => "`project_id`, `line_item` (the model), `api_key_id` and `run_id`",
        };
        format!("`group_by` has `{field}`; this report can be grouped by {known}.")
    }
}

/// Refuses a filter that weir cannot apply. To ignore it would give wrong sums.
fn refuse(params: &Params, name: &str, reason: &str) -> Result<(), Invalid> {
    if params.list(name).is_empty() { Ok(()) } else { Err(Invalid::field(name, reason)) }
}

fn read_set(params: &Params, name: &str) -> BTreeSet<String> {
    params.list(name).into_iter().map(str::to_owned).collect()
}

const PAGE_PREFIX: &str = "page_";

/// The name of a page is the start of its first bucket.
pub(crate) fn write_page(from: u64) -> String {
    format!("{PAGE_PREFIX}{from}")
}

fn read_page(text: &str) -> Result<u64, Invalid> {
    let from = text.strip_prefix(PAGE_PREFIX).and_then(|digits| digits.parse().ok());
    from.ok_or_else(|| {
        Invalid::field("page", format!("`page` is `{text}`, expected the `next_page` of an earlier answer."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Report = Report::Usage(Operation::Completions);

    fn read(report: Report, query: &str) -> Result<UsageQuery, Invalid> {
        report.query(&Params::parse(query), Timestamp(1_767_225_600_000))
    }

    #[test]
    fn limits_have_openais_ranges() {
        for (report, width, default, max) in
            [(USAGE, "1d", 7, 31), (USAGE, "1h", 24, 168), (Report::Costs, "1d", 7, 180)]
        {
            let limit = |limit: &str| {
                read(report, &format!("start_time=0&bucket_width={width}&limit={limit}")).map(|query| query.limit)
            };
            assert_eq!((limit(""), limit(&max.to_string())), (Ok(default), Ok(max)));
            for wrong in [0, max + 1] {
                assert_eq!(limit(&wrong.to_string()).unwrap_err().param.as_deref(), Some("limit"));
            }
        }
    }

    #[test]
    fn an_error_names_the_invalid_parameter() {
        let check = |report, query: &str, param: &str| {
            assert_eq!(read(report, query).unwrap_err().param.as_deref(), Some(param), "{query}");
        };
        check(USAGE, "", "start_time");
        check(USAGE, "start_time=soon", "start_time");
        check(USAGE, "start_time=9&end_time=9", "end_time");
        for width in ["2m", "2h", "1w"] {
            check(USAGE, &format!("start_time=0&bucket_width={width}"), "bucket_width");
        }
        check(Report::Costs, "start_time=0&bucket_width=1h", "bucket_width");
        check(USAGE, "start_time=0&group_by=colour", "group_by");
        check(Report::Usage(Operation::Embeddings), "start_time=0&group_by=batch", "group_by");
        check(Report::Costs, "start_time=0&bucket_width=1m", "bucket_width");
        check(Report::Costs, "start_time=0&group_by=user_id", "group_by");
        check(USAGE, "start_time=0&batch=maybe", "batch");
        check(USAGE, "start_time=0&bucket_width=1m&limit=1441", "limit");
        check(USAGE, "start_time=0&group_by[]=model&group_by[]=line_item", "group_by");
        check(Report::Costs, "start_time=0&group_by=model", "group_by");
        check(USAGE, "start_time=0&user_ids[]=u", "user_ids");
        check(USAGE, "start_time=0&batch=true", "batch");
        check(USAGE, "start_time=0&page=7", "page");
    }

    #[test]
    fn a_report_of_batches_alone_is_refused_for_a_reason_that_is_true() {
        assert_eq!(read(USAGE, "start_time=0&batch=true").unwrap_err().message, NOT_BY_BATCH);
    }

    #[test]
    fn minutes_are_pages_of_hours() {
        for (limit, hours) in [("", 1), ("1", 1), ("61", 2), ("1440", 24)] {
            let query = read(USAGE, &format!("start_time=0&bucket_width=1m&batch=false&limit={limit}")).unwrap();
            assert_eq!((query.limit, query.range.page(None, 1).0[0].end), (hours, 3_600), "{limit}");
        }
        let query = read(USAGE, "start_time=0&group_by=user_id,batch,service_tier").unwrap();
        assert_eq!(query.selection.group_by, Grouping::default());
    }

    #[test]
    fn a_page_reads_back() {
        assert_eq!(read_page(&write_page(1_767_225_600)), Ok(1_767_225_600));
    }

    #[test]
    fn lists_select_and_group() {
        let query = read(Report::Costs, "start_time=0&project_ids[]=p1&project_ids[]=p2&group_by=project_id,line_item")
            .unwrap();
        assert_eq!(query.selection.projects, BTreeSet::from(["p1".to_owned(), "p2".to_owned()]));
        assert_eq!(query.selection.group_by, Grouping { project: true, model: true, ..Grouping::default() });
    }
}
