//! A file reads back as it was uploaded, until it is deleted or expires; no other tenant reads it. A record has a content, and a
//! content a record. Nothing is left of uploads when they have expired.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::tenancy::check_not_found;
use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::load::files::PATH;

pub(super) struct Files;

#[async_trait]
impl Invariant for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 7);
        let files = deployment.sim.observed().files.clone();
        for (id, file) in files {
            let path = format!("{PATH}/{id}/content");
            let get = |bearer| Request { method: "GET", path: path.clone(), bearer, ..Request::default() };
            let own = get(client.permanent_key(file.tenant));
            let Some(read) = client.send(&own).await else { return Err(format!("{id} cannot be read")) };
            let is_right = match file.is_gone {
                // The deletion may never have arrived.
                true => read.status == 404 || read.body == file.content.as_bytes(),
                false => read.status == 200 && read.body == file.content.as_bytes(),
            };
            expect(is_right, || format!("{id}, {file:?}, is answered {} {:?}", read.status, read.body))?;
            let foreign = get(client.permanent_key((file.tenant + 1) % TENANTS));
            let status = client.send(&foreign).await.map_or(0, |reply| reply.status);
            check_not_found(&mut deployment.sim.observed(), &foreign, status);
        }
        check_contents(deployment).await
    }
}

/// Checks that each record of a file has an object in the bucket, and each object a record.
async fn check_contents(deployment: &Arc<Deployment>) -> CheckResult {
    let ids: Vec<String> = {
        let observed = deployment.sim.observed();
        let tenants = observed.tenants.iter().map(|tenant| tenant.project.id.clone());
        tenants.chain(observed.guests.iter().map(|guest| guest.project_id.clone())).collect()
    };
    for id in ids {
        let content = deployment.inspector.content(&id).await?;
        let of = |part: &str| -> BTreeSet<&str> {
            content.iter().filter(|key| key.contains(part)).filter_map(|key| key.rsplit('/').next()).collect()
        };
        let (records, objects) = (of("FILES#"), of("/files/"));
        expect(records == objects, || format!("{id} has records of {records:?} and contents of {objects:?}"))?;
        let uploads = (of("UPLOADS#"), of("/uploads/"));
        expect(uploads.0.is_empty() && uploads.1.is_empty(), || format!("{id} has left of uploads: {uploads:?}"))?;
    }
    Ok(())
}
