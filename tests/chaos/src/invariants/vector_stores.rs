//! A file that was attached to a vector store is searched or has an error in the end; its store counts it. Nothing is left of files that
//! are in no store.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::tenancy::check_not_found;
use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::load::vector_stores::PATH;
use crate::observations::SeenStore;

pub(super) struct VectorStores;

#[async_trait]
impl Invariant for VectorStores {
    fn name(&self) -> &'static str {
        "vector_stores"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 9);
        let stores = deployment.sim.observed().stores.clone();
        for (id, store) in stores {
            check_store(deployment, &mut client, &id, &store).await?;
        }
        check_chunks(deployment).await
    }
}

async fn check_store(deployment: &Arc<Deployment>, client: &mut Client, id: &str, store: &SeenStore) -> CheckResult {
    let path = format!("{PATH}/{id}");
    let get = |path: &str, bearer| Request { method: "GET", path: path.to_owned(), bearer, ..Request::default() };
    let own = client.permanent_key(store.tenant);
    let foreign = get(&path, client.permanent_key((store.tenant + 1) % TENANTS));
    let status = client.send(&foreign).await.map_or(0, |reply| reply.status);
    check_not_found(&mut deployment.sim.observed(), &foreign, status);
    let Some(found) = client.send(&get(&path, own.clone())).await else { return Err(format!("{id} cannot be read")) };
    // The deletion of what is to be gone may never have arrived.
    expect(found.status == 200 || store.is_gone, || format!("{id} is answered {}", found.status))?;
    if found.status != 200 {
        return Ok(());
    }
    let (counts, bytes) = (found.json()["file_counts"].clone(), found.json()["usage_bytes"].clone());
    let file = client.send(&get(&format!("{path}/files/{}", store.file_id), own.clone())).await;
    let Some(file) = file.filter(|file| file.status == 200) else {
        expect(store.is_gone, || format!("{} is not in {id}", store.file_id))?;
        return expect(counts["total"] == 0 && bytes == 0, || format!("{id} is empty and counts {counts} and {bytes}"));
    };
    let file = file.json();
    let status = file["status"].as_str().unwrap_or_default().to_owned();
    expect(["completed", "failed"].contains(&status.as_str()), || format!("{id} has {file}"))?;
    let is_counted = counts["total"] == 1 && counts[&status] == 1 && bytes == file["usage_bytes"];
    expect(is_counted, || format!("{id} has {file}, and counts {counts} and {bytes}"))?;
    let search = Request {
        method: "POST",
        path: format!("{path}/search"),
        bearer: own,
        body: json!({"query": "so much to keep"}).to_string(),
        ..Request::of_tenant(store.tenant, false)
    };
    // The budget may be spent, and the provider may fail.
    let found = client.send(&search).await.filter(|found| found.status == 200 && status == "completed");
    match found {
        Some(found) => {
            let data = found.json()["data"].clone();
            let is_found =
                data[0]["file_id"] == json!(store.file_id) && data.as_array().is_some_and(|data| data.len() == 1);
            expect(is_found, || format!("a search of {id} finds {data}"))
        }
        None => Ok(()),
    }
}

/// Checks that chunks are of files that are in a store.
async fn check_chunks(deployment: &Arc<Deployment>) -> CheckResult {
    let ids: Vec<String> = {
        let observed = deployment.sim.observed();
        observed.tenants.iter().map(|tenant| tenant.project.id.clone()).collect()
    };
    for id in ids {
        let content = deployment.inspector.content(&id).await?;
        let parts = |prefix: &'static str| content.iter().filter_map(move |key| key.strip_prefix(prefix));
        let attached: BTreeSet<String> = parts("VSTORE#").map(|key| key.replace('/', "#")).collect();
        let chunks: BTreeSet<String> =
            parts("CHUNKS#").filter_map(|key| Some(key.split_once('/')?.0.to_owned())).collect();
        let orphans: Vec<&String> = chunks.difference(&attached).collect();
        expect(orphans.is_empty(), || format!("chunks are left of {orphans:?}, which are in no store"))?;
    }
    Ok(())
}
