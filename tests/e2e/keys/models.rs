//! The models that a key and its project may use.

use kit::{Reply, TestApp, send};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

use super::{admin, get_models, make};
use crate::{CHAT, PATH};

#[track_caller]
fn check_refused(reply: &Reply) {
    assert_eq!((reply.status, &*reply.code()), (403, "model_not_found"), "{}", reply.text());
    assert_eq!(reply.json()["error"]["param"], "model");
}

fn names(list: &Reply) -> Vec<String> {
    let list = list.json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_key_calls_and_sees_the_models_of_its_list_only() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let key = make(&router, &project.id, json!({"models": ["priced", "vendor/*", "embedding"]})).await.text;
    assert_eq!(names(&get_models(&router, &key).await), ["priced", "vendor/priced", "embedding"]);
    let post = async |path: &str, body: Value| send(&router, "POST", path, &key, &[], body.to_string()).await;
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9});
    for allowed in ["priced", "vendor/priced"] {
        assert_eq!(post(PATH, chat(allowed)).await.status, 200);
        assert_eq!(send(&router, "GET", &format!("/v1/models/{allowed}"), &key, &[], "").await.status, 200);
    }
    let calls = app.first.call_count();
    for refused in ["unpriced", "two-targets", "nobody-has-it"] {
        check_refused(&post(PATH, chat(refused)).await);
        check_refused(&post("/v1/completions", json!({"model": refused, "prompt": "Hi"})).await);
        check_refused(&send(&router, "GET", &format!("/v1/models/{refused}"), &key, &[], "").await);
        for members in [json!({}), json!({"stream": true}), json!({"background": true})] {
            let mut body = json!({"model": refused, "input": "Hi"});
            body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            check_refused(&post("/v1/responses", body).await);
        }
    }
    check_refused(&post("/v1/moderations", json!({"model": "moderation", "input": "Hi"})).await);
    assert_eq!((app.first.call_count(), app.second.call_count()), (calls, 0));
    assert_eq!(app.books(&project).await.1, 0, "nothing is reserved for what is refused");
}

/// An answer that another key of the project stored is not given to a key that may not call its model.
#[tokio::test]
async fn no_stored_answer_goes_around_the_list() {
    let app = TestApp::new().await;
    let policy = Policy { cache_ttl_seconds: Some(60), ..Policy::default() };
    let (project, free) = app.project(Limits::default(), policy).await;
    let router = app.router();
    let key = make(&router, &project.id, json!({"models": ["embedding"]})).await.text;
    for headers in [vec![("idempotency-key", "one")], vec![]] {
        assert_eq!(send(&router, "POST", PATH, &free, &headers, CHAT).await.status, 200);
        check_refused(&send(&router, "POST", PATH, &key, &headers, CHAT).await);
    }
}

#[tokio::test]
async fn the_permissions_of_a_project_hold_for_all_of_its_keys() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let path = format!("/v1/organization/projects/{}/model_permissions", project.id);
    let object =
        |mode: &str, ids: Value| json!({"object": "project.model_permissions", "mode": mode, "model_ids": ids});
    let permissions = async || admin(&router, "GET", &path, Value::Null).await.json();
    assert_eq!(permissions().await, object("deny_list", json!([])));
    for (mode, ids, expected) in [
        ("allow_list", json!(["embedding", "two*"]), vec!["two-targets", "embedding"]),
        ("deny_list", json!(["*priced", "moderation"]), vec![]),
        (
            "deny_list",
            json!(["priced", "vendor/priced", "moderation"]),
            vec!["unpriced", "two-targets", "embedding", "image", "speech", "transcription"],
        ),
    ] {
        let reply = admin(&router, "POST", &path, json!({"mode": mode, "model_ids": ids})).await;
        if expected.is_empty() {
            assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("model_ids")), "{}", reply.text());
            continue;
        }
        assert_eq!((reply.json(), permissions().await), (object(mode, ids.clone()), object(mode, ids)));
        assert_eq!(names(&get_models(&router, &key).await), expected);
        let refused = send(&router, "POST", PATH, &key, &[], CHAT).await;
        check_refused(&refused);
        assert!(refused.text().contains(&project.id), "{}", refused.text());
    }
    // A key's own list adds nothing to what its project may use.
    let own = make(&router, &project.id, json!({"models": ["priced"]})).await.text;
    check_refused(&send(&router, "POST", PATH, &own, &[], CHAT).await);
    let deleted = admin(&router, "DELETE", &path, Value::Null).await.json();
    assert_eq!(deleted, json!({"object": "project.model_permissions.deleted", "deleted": true}));
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
}
