//! A batch ends, and each of its lines has one result. No other tenant reads the batch or its results.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::tenancy::check_not_found;
use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::load::{batches, files, prompt};
use crate::observations::SeenBatch;

/// The end of a run may come after the files of results have expired. So each batch is checked when it has ended.
#[derive(Default)]
pub(super) struct Batches {
    faults_are_over: bool,
    checked: BTreeSet<String>,
}

#[async_trait]
impl Invariant for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    async fn at_any_time(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        if self.faults_are_over { self.check_ended(deployment).await } else { Ok(()) }
    }

    async fn after_the_faults(&mut self, _: &Arc<Deployment>) -> CheckResult {
        self.faults_are_over = true;
        Ok(())
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let seen = deployment.sim.observed().batches.clone();
        let open: Vec<_> = seen.keys().filter(|id| !self.checked.contains(*id)).collect();
        expect(open.is_empty(), || format!("nothing is due, and these batches have not ended: {open:?}"))?;
        let left = deployment.inspector.remains_of_batches().await?;
        expect(left.is_empty(), || format!("all batches have ended, and left {left:?}"))
    }
}

impl Batches {
    async fn check_ended(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 8);
        let seen = deployment.sim.observed().batches.clone();
        for (id, batch) in seen {
            if self.checked.contains(&id) {
                continue;
            }
            let Some(record) = read(&mut client, batch.tenant, format!("{}/{id}", batches::PATH)).await? else {
                return Err(format!("{id} cannot be read"));
            };
            let record: Value = serde_json::from_slice(&record).unwrap_or_default();
            if ["completed", "failed", "expired", "cancelled"].iter().any(|status| record["status"] == *status) {
                check_status(&id, &batch, &record)?;
                check_results(&mut client, &id, &batch, &record).await?;
                self.checked.insert(id);
            }
        }
        Ok(())
    }
}

/// Reads an own object. `None`: it is not there. Nobody else can read it.
async fn read(client: &mut Client, tenant: usize, path: String) -> Result<Option<Bytes>, String> {
    let get = |bearer| Request { method: "GET", path: path.clone(), bearer, ..Request::default() };
    let foreign = get(client.permanent_key((tenant + 1) % TENANTS));
    let status = client.send(&foreign).await.map_or(0, |reply| reply.status);
    check_not_found(&mut client.deployment.sim.observed(), &foreign, status);
    let reply = client.send(&get(client.permanent_key(tenant))).await;
    let reply = reply.ok_or_else(|| format!("{path} is not answered"))?;
    expect(matches!(reply.status, 200 | 404), || format!("{path} is answered {}", reply.status))?;
    Ok((reply.status == 200).then_some(reply.body))
}

/// A batch fails for one of its lines, or because its file was deleted before it was read.
fn check_status(id: &str, batch: &SeenBatch, record: &Value) -> CheckResult {
    let status = record["status"].as_str().unwrap_or_default();
    expect(!batch.is_bad || ["failed", "cancelled"].contains(&status), || format!("{id} has a bad line: {record}"))?;
    let is_right = status != "failed"
        || batch.is_bad
        || record["errors"]["data"]
            .as_array()
            .is_some_and(|errors| errors.iter().all(|e| e["code"] == "file_not_found"));
    expect(is_right, || format!("{id} failed, and each of its lines is right: {record}"))
}

/// Checks that each line is in one of the two files, and that the counts and the cost are those of the lines.
async fn check_results(client: &mut Client, id: &str, batch: &SeenBatch, record: &Value) -> CheckResult {
    let (mut found, mut counts) = (BTreeSet::new(), [0_u64, 0]);
    for (count, name) in counts.iter_mut().zip(["output_file_id", "error_file_id"]) {
        let Some(file_id) = record[name].as_str() else { continue };
        let path = format!("{}/{file_id}/content", files::PATH);
        let Some(rows) = read(client, batch.tenant, path).await? else {
            return Err(format!("{id} names {file_id}, which cannot be read"));
        };
        for row in String::from_utf8_lossy(&rows).lines() {
            let row: Value = serde_json::from_str(row).map_err(|_| format!("{file_id} has the row {row}"))?;
            let custom_id = row["custom_id"].as_str().unwrap_or_default().to_owned();
            expect(!prompt::names_another_tenant(batch.tenant, row.to_string().as_bytes()), || {
                format!("{id} has the answer of another tenant: {row}")
            })?;
            // A line of a file that was deleted has no name.
            expect(custom_id.is_empty() || found.insert(custom_id), || format!("{id} has two results: {row}"))?;
            *count += 1;
        }
    }
    let [completed, failed] = counts;
    let told = &record["request_counts"];
    let is_right = told["completed"] == completed && told["failed"] == failed;
    expect(is_right, || format!("{id} tells {told}, and its files have {counts:?} rows"))?;
    // One that was cancelled or refused before its file was checked has no lines.
    let lines = told["total"].as_u64().unwrap_or_default();
    expect(lines == batch.lines || lines == 0 && record["status"] != "completed", || {
        format!("{id} has {} lines and tells {told}", batch.lines)
    })?;
    expect(completed + failed == lines, || format!("{id} has {lines} lines and {counts:?} rows"))
}
