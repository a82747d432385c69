//! Files count before a call is made: as much as they would inside the request.

use super::*;

impl Site {
    /// The most input tokens of a response with these parts.
    async fn bound(&self, parts: Value) -> u64 {
        let reply = self.post("/v1/quote", &response(parts)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["max_input_tokens"].as_u64().unwrap()
    }
}

/// The context of the model `priced`.
const CONTEXT: u64 = 128_000;

#[tokio::test]
async fn a_named_file_is_bounded_as_one_in_the_request() {
    let site = Site::new().await;
    let pdf = site.upload(PDF).await;
    let inline = json!([{"type": "input_file", "filename": "a.pdf", "file_data": format!("data:application/pdf;base64,{PDF_DATA}")}]);
    for parts in
        [json!([{"type": "input_file", "file_id": pdf}]), json!([{"type": "input_image", "file_id": pdf}]), inline]
    {
        assert_eq!(site.bound(parts.clone()).await, CONTEXT, "{parts}");
    }
    let reply = site
        .post("/v1/quote", &response(json!([{"type": "input_file", "file_id": "file-xxxxxxxxxxxxxxxxxxxxxxxx"}])))
        .await;
    assert_eq!((reply.status, &*reply.code()), (400, "file_not_found"), "{}", reply.text());
}

#[tokio::test]
async fn tokens_are_counted_only_of_files_that_the_project_has() {
    let site = Site::new().await;
    let long = "Hello there. ".repeat(100);
    let (text, png) = (site.upload(("a.txt", long.as_bytes())).await, site.upload(PNG).await);
    let block = |kind: &str, file: &str| json!([{"type": kind, "source": {"type": "file", "file_id": file}}]);
    let count = async |parts: Value| {
        let reply = site.post("/v1/messages/count_tokens", &chat(parts)).await;
        (reply.status, reply.json()["input_tokens"].as_u64())
    };
    assert_eq!(count(block("document", &text)).await, (200, Some(4 + long.len() as u64 / 4)));
    assert_eq!(count(block("image", &png)).await, (200, Some(4 + 1_600)));
    let unknown = "file-xxxxxxxxxxxxxxxxxxxxxxxx";
    assert_eq!(count(block("document", unknown)).await.0, 400);
    for (file, status) in [(text.as_str(), 200), (unknown, 400)] {
        let call = response(json!([{"type": "input_file", "file_id": file}]));
        assert_eq!(site.post("/v1/responses/input_tokens", &call).await.status, status, "{file}");
    }
}
