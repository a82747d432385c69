//! An archived project: its keys are refused, its jobs are cancelled, and nothing of it goes on for long.

use std::time::Duration;

use kit::{ADMIN_KEY, Fault, Script, TestApp, send};
use serde_json::json;
use shared::data::{Due, NewResponse, ProjectWork, ResponseRecord, WorkKey, WorkKind};
use shared::model::message::ResponseKey;
use shared::model::project::Policy;
use shared::model::response::Status;
use shared::model::webhook::{DeliveryFailure, DeliveryState};

use crate::jobs::{Jobs, background, created};
use crate::responses::ask;
use crate::{CHAT, PATH, budget};

async fn archive(app: &TestApp, project_id: &str) {
    let path = format!("/v1/organization/projects/{project_id}/archive");
    let archived = send(&app.router(), "POST", &path, ADMIN_KEY, &[], "").await;
    assert_eq!((archived.status, &archived.json()["status"]), (200, &json!("archived")), "{}", archived.text());
}

impl Jobs {
    async fn archive(&self) {
        archive(&self.app, &self.project.id).await;
    }

    async fn record(&self, id: &str) -> ResponseRecord {
        let key = ResponseKey { project_id: self.project.id.clone(), response_id: id.to_owned() };
        self.app.stores.responses().get(&key).await.unwrap().unwrap()
    }

    async fn is_working_on_the_project(&self) -> bool {
        self.due().await.iter().any(|due| matches!(due, Due::Project(_)))
    }
}

#[tokio::test]
async fn the_jobs_of_an_archived_project_are_cancelled_whatever_dies() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        for step in 0.. {
            let jobs = Jobs::new().await;
            let ids = [jobs.accept().await, jobs.accept().await, jobs.accept().await];
            jobs.archive().await;
            jobs.app.faults.at(step, fault);
            let swept = jobs.app.faults.or_die(jobs.sweep()).await.is_some();
            jobs.app.faults.clear();
            if !swept {
                jobs.app.clock.advance_ms(60_000);
                jobs.sweep().await;
            }
            for id in &ids {
                assert_eq!(jobs.record(id).await.status, Status::Cancelled, "{fault:?} at step {step}");
            }
            assert!(!jobs.is_working_on_the_project().await, "{fault:?} at step {step}");
            jobs.settle().await;
            assert_eq!((jobs.books().await, jobs.app.first.call_count()), ((0, 0), 0), "{fault:?} at step {step}");
            if swept {
                assert!(step > 10, "there are more steps than {step}");
                break;
            }
        }
    }
}

/// More jobs than one page, most of which have ended.
#[tokio::test]
async fn open_jobs_are_found_behind_many_that_ended() {
    let jobs = Jobs::new().await;
    let open = jobs.accept().await;
    let like = jobs.record(&open).await;
    for n in 0..230 {
        let response_id = format!("resp_z{n:03}");
        let record = ResponseRecord {
            key: ResponseKey { response_id, ..like.key.clone() },
            status: Status::Completed,
            due_at: None,
            reservation: None,
            ..like.clone()
        };
        let new = NewResponse {
            record,
            request: "{}".into(),
            events: bytes::Bytes::new(),
            response: None,
            key: None,
            claim: None,
            erased_at: None,
        };
        assert!(jobs.app.stores.responses().create(&new).await.unwrap().is_written());
    }
    jobs.archive().await;
    jobs.sweep().await;
    assert_eq!(jobs.record(&open).await.status, Status::Cancelled);
    assert_eq!(jobs.record("resp_z001").await.status, Status::Completed);
    assert!(!jobs.is_working_on_the_project().await);
}

#[tokio::test]
async fn a_slow_sweeper_neither_sets_work_back_nor_begins_it_again() {
    let jobs = Jobs::new().await;
    jobs.archive().await;
    let (works, now) = (jobs.app.stores.project_work(), jobs.app.clock.now());
    let key = WorkKey { project_id: jobs.project.id.clone(), kind: WorkKind::CancelJobs };
    let seen = works.get(&key).await.unwrap().unwrap();
    assert_eq!(seen, ProjectWork { key: key.clone(), cursor: String::new(), due_at: now });
    let step = |cursor: &str, ms| ProjectWork { cursor: cursor.to_owned(), due_at: now.plus_ms(ms), ..seen.clone() };
    works.advance(&seen, &step("resp_5", 5)).await.unwrap();
    works.advance(&seen, &step("resp_9", 9)).await.unwrap();
    assert_eq!(works.get(&key).await.unwrap(), Some(step("resp_5", 5)));
    works.finish(&key).await.unwrap();
    works.advance(&step("resp_5", 5), &step("resp_3", 9)).await.unwrap();
    assert_eq!(works.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_worker_calls_no_provider_for_an_archived_project() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    jobs.archive().await;
    assert!(jobs.work().await > 0);
    let record = jobs.record(&id).await;
    assert_eq!((record.status, record.due_at, jobs.app.first.call_count()), (Status::Failed, None, 0));
    assert_eq!(jobs.books().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_is_stopped_and_pays_for_what_came() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Paced { text: "word ".repeat(3_600), gap: Duration::from_secs(1) });
    let id = jobs.accept().await;
    let begun = tokio::time::Instant::now();
    tokio::join!(jobs.work(), async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        jobs.archive().await;
        jobs.sweep().await;
    });
    assert!(begun.elapsed() <= Duration::from_secs(7 + 10), "a heartbeat is 10 s at most: {:?}", begun.elapsed());
    assert_eq!((jobs.app.first.dropped(), jobs.record(&id).await.status), (1, Status::Cancelled));
    let (spent, held) = jobs.books().await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_that_its_project_was_archived() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Paced { text: "word ".repeat(60), gap: Duration::from_secs(1) });
    let mut body = background();
    body["stream"] = json!(true);
    let begun = tokio::time::Instant::now();
    let follow = async {
        let followed = jobs.post(&body, &[]).await;
        (followed, begun.elapsed())
    };
    let clock = jobs.app.clock.clone();
    let ((followed, took), _, ()) = tokio::join!(follow, jobs.work(), async {
        for second in 0..40 {
            if second == 5 {
                jobs.archive().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.advance_ms(1_000);
        }
    });
    let text = followed.text();
    assert!(text.trim_end().rsplit("\n\n").next().unwrap().contains("The project was archived."), "{text}");
    assert!(took <= Duration::from_secs(5 + 17), "{took:?}");
    assert!(created(&text[..text.rfind("data: ").unwrap()]).starts_with("resp_"));
}

#[tokio::test]
async fn a_delivery_of_an_archived_project_is_a_dead_letter_and_is_not_sent() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    jobs.cancel(&id).await;
    jobs.archive().await;
    while jobs.work().await > 0 {}
    let endpoints = jobs.app.stores.webhook_endpoints().list(&jobs.project.id).await.unwrap();
    assert!(!endpoints.is_empty());
    for endpoint in endpoints {
        let now = jobs.app.clock.now();
        let sent = jobs.app.stores.deliveries().list(&jobs.project.id, &endpoint.id, None, None, 9, now).await.unwrap();
        let states: Vec<_> = sent.into_iter().map(|delivery| (delivery.state, delivery.tries)).collect();
        assert_eq!(states, [(DeliveryState::Failed(DeliveryFailure::ProjectArchived), 0)]);
    }
}

/// Its process knows the key for half a minute, and a call that runs is paid for: it ends as it would have.
#[tokio::test(start_paused = true)]
async fn a_call_that_runs_ends_by_itself_and_no_other_begins_after_half_a_minute() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    app.first.always(Script::slow(Duration::from_millis(1_500), "Hello there.", 10, 5));
    let (chat, response, ()) = tokio::join!(
        send(&router, "POST", PATH, &key, &[], CHAT),
        send(&router, "POST", "/v1/responses", &key, &[], ask().to_string()),
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            archive(&app, &project.id).await;
        }
    );
    assert_eq!((chat.status, response.status), (200, 200), "{} {}", chat.text(), response.text());
    app.clock.advance_ms(30_000);
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 401);
    assert_eq!(app.books(&project).await.1, 0);
}
