//! Background responses store the id of a file; their worker reads the content.

use kit::{Fault, shown_item};
use shared::data::Queue;

use super::*;

impl Site {
    async fn accept(&self, file: &str) -> String {
        let mut call = response(json!([{"type": "input_file", "file_id": file}]));
        call["background"] = true.into();
        let reply = self.post(RESPONSES, &call).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn work(&self) {
        let instance = self.app.instance();
        self.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
    }

    async fn get(&self, id: &str) -> Value {
        send(&self.router, "GET", &format!("{RESPONSES}/{id}"), &self.key, &[], "").await.json()
    }
}

#[tokio::test]
async fn the_worker_reads_the_file_and_the_record_has_its_id_only() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let id = site.accept(&file).await;
    let items: Vec<String> = site.app.items().await.iter().map(shown_item).collect();
    assert!(!items.iter().any(|item| item.contains(PDF_DATA)));
    site.work().await;
    assert_eq!(site.get(&id).await["status"], "completed");
    assert!(site.sent()[0]["content"][0]["file"]["file_data"].as_str().unwrap().ends_with(PDF_DATA));
    assert_eq!(site.books().await.1, 0);
}

#[tokio::test]
async fn a_file_that_is_deleted_before_the_run_ends_the_response_at_no_cost() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let id = site.accept(&file).await;
    assert!(site.books().await.1 > 0, "the acceptance holds money");
    site.delete(&file).await;
    site.work().await;
    let ended = site.get(&id).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let message = ended["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("no file found with id '{file}'")), "{message}");
    assert_eq!((site.app.first.call_count(), site.books().await), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_step_leaves_the_file_to_another() {
    let mut deaths = 0;
    for step in 0.. {
        let site = Site::new().await;
        let file = site.upload(PDF).await;
        let id = site.accept(&file).await;
        site.app.faults.at(step, Fault::Hang);
        site.work().await;
        let died = site.app.faults.hangs();
        site.app.faults.clear();
        for _ in 0..4 {
            site.app.clock.advance_ms(181_000);
            site.app.instance().sweeper().sweep().await.unwrap();
            site.work().await;
        }
        assert_eq!(site.get(&id).await["status"], "completed", "step {step}");
        assert_eq!(site.books().await.1, 0, "step {step}");
        assert!(site.sent()[0]["content"][0]["file"]["file_data"].as_str().unwrap().ends_with(PDF_DATA));
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 6, "a run has more steps than {deaths}");
}

#[tokio::test]
async fn a_content_that_cannot_be_read_leaves_the_response_to_a_later_run() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let id = site.accept(&file).await;
    let objects = site.app.objects().await;
    let object = objects.iter().find(|object| object.ends_with(&file)).unwrap();
    let bucket = embedded::s3_client(site.app.connectors().s3);
    bucket.delete_object().bucket("weir").key(object).send().await.unwrap();
    site.work().await;
    assert_ne!(site.get(&id).await["status"], "failed");
    bucket.put_object().bucket("weir").key(object).body(PDF.1.to_vec().into()).send().await.unwrap();
    site.app.clock.advance_ms(181_000);
    site.app.instance().sweeper().sweep().await.unwrap();
    site.work().await;
    assert_eq!(site.get(&id).await["status"], "completed");
    assert_eq!((site.app.first.call_count(), site.books().await.1), (1, 0));
}
