//! A purged project: nothing that its clients sent or got can be read any more, whatever dies and whoever writes late.

mod content;

use kit::{ADMIN_KEY, Fault, Reply, TestApp, send};
use serde_json::{Value, json};
use shared::data::{Due, WorkKey, WorkKind};
use shared::model::id::random;
use shared::model::message::{DeliveryKey, ResponseKey};
use shared::model::project::Project;
use shared::model::webhook::{Delivery, EventType, WebhookEvent};

use crate::jobs::{Jobs, background};
use crate::responses::ask;
use content::Content;

/// No request of an archived project is at work any more.
const QUIET_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

async fn administer(app: &TestApp, project_id: &str, action: &str) -> Reply {
    let path = format!("/v1/organization/projects/{project_id}/{action}");
    send(&app.router(), "POST", &path, ADMIN_KEY, &[], "").await
}

async fn archive_and_purge(app: &TestApp, project_id: &str) {
    for action in ["archive", "purge"] {
        let done = administer(app, project_id, action).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
}

async fn sweep(app: &TestApp) {
    app.instance().sweeper().sweep().await.unwrap();
}

async fn is_purged(app: &TestApp, project: &Project) -> bool {
    app.stores.projects().get(&project.id).await.unwrap().unwrap().is_purged()
}

/// Lets the hours of a purge pass.
async fn purge_to_the_end(app: &TestApp, project: &Project) {
    for _ in 0..2 {
        assert!(!is_purged(app, project).await);
        app.clock.advance_ms(QUIET_MS);
        sweep(app).await;
    }
    assert!(is_purged(app, project).await);
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_nothing_but_books_keys_and_the_audit_log_and_touches_no_other_project() {
    let app = TestApp::new().await;
    let other = Content::make(&app).await;
    other.settle(&app).await;
    let untouched = other.all_of(&app).await;
    let content = Content::make(&app).await;
    archive_and_purge(&app, &content.project.id).await;
    content.check_that_it_has_every_kind(&app).await;

    purge_to_the_end(&app, &content.project).await;
    assert_eq!(content.erased_that_are_left(&app).await, [""; 0]);
    assert_eq!(app.places_of(&content.word).await, [""; 0]);
    assert_eq!(content.objects(&app).await, [""; 0]);
    let work = WorkKey { project_id: content.project.id.clone(), kind: WorkKind::Purge };
    assert_eq!(app.stores.project_work().get(&work).await.unwrap(), None);
    assert!(other.all_of(&app).await == untouched, "the other project's items and bodies are as they were");
    assert!(!untouched.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_purge_ends_and_is_told_once_whatever_dies() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        for step in 0.. {
            let jobs = Jobs::new().await;
            let ids = [jobs.accept().await, jobs.accept().await];
            jobs.settle().await;
            archive_and_purge(&jobs.app, &jobs.project.id).await;
            let mut died = false;
            jobs.app.faults.at(step, fault);
            for _ in 0..2 {
                jobs.app.clock.advance_ms(QUIET_MS);
                if jobs.app.faults.or_die(sweep(&jobs.app)).await.is_none() {
                    died = true;
                    jobs.app.faults.clear();
                }
            }
            jobs.app.faults.clear();
            for _ in 0..3 {
                jobs.app.clock.advance_ms(QUIET_MS);
                sweep(&jobs.app).await;
            }
            assert!(is_purged(&jobs.app, &jobs.project).await, "{fault:?} at step {step}");
            for id in ids {
                assert_eq!(jobs.app.places_of(&id).await, [""; 0], "{fault:?} at step {step}");
            }
            let left: Vec<Due> = jobs.due().await.into_iter().collect();
            assert!(left.is_empty(), "{fault:?} at step {step}: {left:?}");
            assert_eq!(entries(&jobs.app, "project.purge_completed").await.len(), 1, "{fault:?} at step {step}");
            if !died {
                assert!(step > 20, "there are more steps than {step}");
                break;
            }
        }
    }
}

/// The entries of a type in the audit log.
async fn entries(app: &TestApp, kind: &str) -> Vec<Value> {
    let path = format!("/v1/organization/audit_logs?event_types[]={kind}");
    let listed = send(&app.router(), "GET", &path, ADMIN_KEY, &[], "").await;
    listed.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_a_late_process_writes_does_not_stay() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    let (app, project) = (&jobs.app, &jobs.project);
    let key = ResponseKey { project_id: project.id.clone(), response_id: id };
    let (records, now) = (app.stores.responses(), app.clock.now());
    let run = records.claim(&key, now, now.plus_ms(30_000)).await.unwrap().unwrap();
    let endpoint = app.stores.webhook_endpoints().list(&project.id).await.unwrap().remove(0);
    archive_and_purge(app, &project.id).await;
    sweep(app).await;
    app.clock.advance_ms(QUIET_MS);
    for _ in 0..5 {
        jobs.work().await;
        sweep(app).await;
        app.clock.advance_ms(MINUTE_MS);
    }
    assert_eq!(records.get(&key).await.unwrap(), None, "the first pass has deleted it");
    assert!(!is_purged(app, project).await);

    // A worker that was stuck writes what it has, and announces an end.
    let word = random(20);
    for (first, padding) in [(2, String::new()), (3, random(180_000))] {
        let events = format!("event: a\ndata: {word} {padding}\n\n");
        records.put_events(&run, first, &events.into()).await.unwrap();
    }
    let event = WebhookEvent::new(EventType::ResponseCancelled, &key.response_id, now);
    let late = Delivery::new(&event, &endpoint, None, 86_400, now);
    assert!(app.stores.deliveries().create(&late).await.unwrap().is_written());
    assert_eq!(app.places_of(&word).await.len(), 2);
    app.clock.advance_ms(QUIET_MS);
    sweep(app).await;
    assert!(is_purged(app, project).await);
    assert_eq!((app.places_of(&word).await, app.objects().await), (Vec::new(), Vec::new()));
    let DeliveryKey { delivery_id, .. } = late.key;
    assert_eq!(app.places_of(&delivery_id).await, [""; 0]);
}

#[tokio::test]
async fn a_response_ends_and_is_settled_before_it_goes() {
    let jobs = Jobs::new().await;
    let (app, project) = (&jobs.app, &jobs.project);
    let warm = app.router();
    let ended = send(&warm, "POST", "/v1/responses", &jobs.key, &[], ask().to_string()).await.json();
    archive_and_purge(app, &project.id).await;
    sweep(app).await;
    // A process that still knows the key accepts a job, whose message is lost.
    let late = send(&warm, "POST", "/v1/responses", &jobs.key, &[], background().to_string()).await;
    assert_eq!(late.status, 200, "{}", late.text());
    let key = |made: &Value| ResponseKey {
        project_id: project.id.clone(),
        response_id: made["id"].as_str().unwrap().to_owned(),
    };
    let (ended, late) = (key(&ended), key(&late.json()));
    let records = app.stores.responses();
    let (spent, held) = jobs.books().await;
    for _ in 0..3 {
        app.clock.advance_ms(QUIET_MS);
        sweep(app).await;
        assert_eq!(records.get(&ended).await.unwrap(), None);
        assert!(records.get(&late).await.unwrap().is_some_and(|record| record.reservation.is_some()));
        assert!(!is_purged(app, project).await);
    }
    jobs.settle().await;
    assert!(held > 0);
    assert_eq!(jobs.books().await, (spent, 0), "the job called no provider");
    app.clock.advance_ms(MINUTE_MS);
    sweep(app).await;
    app.clock.advance_ms(QUIET_MS);
    sweep(app).await;
    assert!(is_purged(app, project).await);
    assert_eq!(records.get(&late).await.unwrap(), None);
}

#[tokio::test]
async fn only_an_archived_project_is_purged_and_only_once() {
    let jobs = Jobs::new().await;
    let (app, project) = (&jobs.app, &jobs.project);
    let active = administer(app, &project.id, "purge").await;
    assert_eq!((active.status, &*active.code()), (400, "project_not_archived"), "{}", active.text());
    assert!(active.text().contains(&format!("/v1/organization/projects/{}/archive", project.id)));
    assert_eq!(administer(app, "proj_x", "purge").await.status, 404);
    assert_eq!(jobs.app.stores.projects().get(&project.id).await.unwrap().unwrap().purge, None);

    let began = app.clock.now().seconds();
    archive_and_purge(app, &project.id).await;
    app.clock.advance_ms(MINUTE_MS);
    let again = administer(app, &project.id, "purge").await;
    let under_way = json!({"status": "in_progress", "requested_at": began, "completed_at": null});
    assert_eq!((again.status, &again.json()["purge"]), (200, &under_way));
    purge_to_the_end(app, project).await;
    let purged = administer(app, &project.id, "purge").await;
    let done = json!({"status": "completed", "requested_at": began, "completed_at": app.clock.now().seconds()});
    assert_eq!((purged.status, &purged.json()["purge"]), (200, &done));

    assert_eq!(entries(app, "project.purged").await.len(), 1);
    let mut end = entries(app, "project.purge_completed").await.remove(0);
    let details = end["project.purge_completed"].take();
    assert_eq!(details["after"]["purge"]["completed_at"], done["completed_at"], "{details}");
    assert_eq!((&end["actor"]["api_key"]["id"], &end["project"]["id"]), (&json!("sweep"), &json!(project.id)));
}
