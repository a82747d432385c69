//! `weir doctor`: looks at a deployment, names each fault, and says how an operator removes it.

use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use shared::app::ErrorChain;
use shared::model::clock::Clock;

use crate::client::{Deployment, is_loopback};

/// What to look at.
#[derive(Args, Clone)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub deployment: Deployment,
    /// A project's API key, for the list of models and the trial call; without it the key in the data folder
    #[arg(long, env = "WEIR_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// A chat model to make a trial call to; the call may cost a fraction of a cent
    #[arg(long)]
    pub model: Option<String>,
}

/// The result of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub verdict: Verdict,
    pub subject: &'static str,
    /// The observation and, for a warning or a failure, the remedy.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        write!(f, "{verdict:<5}{:<14}{}", self.subject, self.text)
    }
}

fn ok(subject: &'static str, text: impl Into<String>) -> Look {
    Look { verdict: Verdict::Ok, subject, text: text.into() }
}

fn warn(subject: &'static str, text: impl Into<String>) -> Look {
    Look { verdict: Verdict::Warn, subject, text: text.into() }
}

fn fail(subject: &'static str, text: impl Into<String>) -> Look {
    Look { verdict: Verdict::Fail, subject, text: text.into() }
}

const WAIT: Duration = Duration::from_secs(60);
/// AWS refuses signatures that are five minutes old; a minute is worth a word.
const MAX_SKEW_MS: u64 = 60_000;

/// Looks at a deployment. Stops after the first look if nothing answers.
pub async fn doctor(args: &DoctorArgs) -> Vec<Look> {
    let Ok(http) = reqwest::Client::builder().timeout(WAIT).build() else {
        return vec![fail("client", "this machine has no HTTPS client; check its trusted certificates")];
    };
    let base_url = args.deployment.base_url().trim_end_matches('/').to_owned();
    let doctor = Doctor { http, base_url, args };
    let mut looks = vec![doctor.look_at_url()];
    let reached = doctor.look_at_health(&mut looks).await;
    if reached {
        looks.push(doctor.look_at_unknown_url().await);
        doctor.look_at_admin(&mut looks).await;
        doctor.look_at_models(&mut looks).await;
    }
    looks
}

struct Doctor<'a> {
    http: reqwest::Client,
    base_url: String,
    args: &'a DoctorArgs,
}

/// An answer, and its JSON: `null` if it is another text.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
    json: Value,
}

impl Answer {
    fn message(&self) -> String {
        let message = self.json["error"]["message"].as_str().unwrap_or("the answer is not weir's");
        format!("{}: {message}", self.status)
    }
}

impl Doctor<'_> {
    fn look_at_url(&self) -> Look {
        match () {
            () if !self.base_url.ends_with("/v1") => {
                warn("base URL", format!("{} does not end in /v1; take it from the stack's outputs", self.base_url))
            }
            () if self.base_url.starts_with("https://") || is_loopback(&self.base_url) => {
                ok("base URL", &self.base_url)
            }
            () => warn("base URL", format!("{} sends keys without encryption; use https", self.base_url)),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, String> {
        let answer = request.send().await.map_err(|error| ErrorChain(&error.without_url()).to_string())?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.map_err(|error| ErrorChain(&error.without_url()).to_string())?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status, headers, text, json })
    }

    async fn look_at_health(&self, looks: &mut Vec<Look>) -> bool {
        let root = self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url);
        let sent_at = Instant::now();
        let answer = match self.send(self.http.get(format!("{root}/healthz"))).await {
            Ok(answer) => answer,
            Err(error) => {
                let hint = "check the URL, the network, and the certificate of your domain";
                looks.push(fail("reachable", format!("no answer: {error}; {hint}")));
                return false;
            }
        };
        looks.push(match answer.status {
            200 => ok("reachable", format!("answered in {} ms", sent_at.elapsed().as_millis())),
            _ => fail("reachable", format!("/healthz answered {}", answer.message())),
        });
        if answer.status == 200 && answer.text.trim() != "ok" {
            looks.push(warn("models file", answer.text.trim()));
        }
        let date = answer.headers.get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let theirs = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
        if let Some(theirs) = theirs.and_then(|theirs| u64::try_from(theirs.as_millis()).ok()) {
            let skew = theirs.abs_diff(Clock::system().now().0);
            looks.push(match skew > MAX_SKEW_MS {
                true => {
                    warn("clock", format!("this machine's clock is {} s off; set it by a time server", skew / 1_000))
                }
                false => ok("clock", "agrees with the deployment's"),
            });
        }
        true
    }

    /// Whether requests reach weir's own code, and not only a gateway in front of it.
    async fn look_at_unknown_url(&self) -> Look {
        let request = self.http.get(format!("{}/no-such-route", self.base_url)).bearer_auth("sk-weir-none");
        match self.send(request).await {
            Ok(answer) if answer.status == 404 && answer.json["error"]["code"] == "unknown_url" => {
                ok("routing", "unknown URLs are answered by weir")
            }
            Ok(answer) => {
                let hint = "is the base URL that of weir, and is the stack's last deployment complete?";
                warn("routing", format!("an unknown URL was answered with {}; {hint}", answer.message()))
            }
            Err(error) => fail("routing", error),
        }
    }

    async fn look_at_admin(&self, looks: &mut Vec<Look>) {
        let Some(key) = self.args.deployment.admin_key() else {
            let text = "no admin key was given: set WEIR_ADMIN_KEY; dead letters were not counted";
            return looks.push(warn("admin key", text));
        };
        let get = |path: &str| self.http.get(format!("{}/organization/{path}", self.base_url)).bearer_auth(&key);
        match self.send(get("projects?limit=1")).await {
            Ok(answer) if answer.status == 200 => looks.push(ok("admin key", "accepted")),
            Ok(answer) if answer.status == 401 => {
                let text = "refused; read the key from the secret that the stack's output `AdminKeySecret` names";
                return looks.push(fail("admin key", text));
            }
            Ok(answer) => return looks.push(fail("admin key", answer.message())),
            Err(error) => return looks.push(fail("admin key", error)),
        }
        looks.push(match self.send(get("dead_letters")).await {
            Ok(answer) if answer.status == 200 => match answer.json["data"].as_array().map_or(0, Vec::len) {
                0 => ok("dead letters", "none"),
                n => warn(
                    "dead letters",
                    format!("{n} or more; `weir jobs dead-letters` lists them, `weir jobs replay` sends them again"),
                ),
            },
            Ok(answer) => fail("dead letters", answer.message()),
            Err(error) => fail("dead letters", error),
        });
    }

    async fn look_at_models(&self, looks: &mut Vec<Look>) {
        let Some(key) = self.args.api_key.clone().or_else(|| self.args.deployment.project_key()) else {
            return looks.push(warn("models", "not listed: give a project's key with --api-key or WEIR_API_KEY"));
        };
        match self.send(self.http.get(format!("{}/models", self.base_url)).bearer_auth(&key)).await {
            Ok(answer) if answer.status == 200 => {
                let names =
                    answer.json["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str());
                let names: Vec<&str> = names.collect();
                looks.push(match names.is_empty() {
                    true => warn("models", "none are served; put some into the models file"),
                    false => ok(
                        "models",
                        format!("{} names, such as {}", names.len(), names[..names.len().min(3)].join(", ")),
                    ),
                });
            }
            Ok(answer) if answer.status == 401 => return looks.push(fail("API key", answer.message())),
            Ok(answer) => return looks.push(fail("models", answer.message())),
            Err(error) => return looks.push(fail("models", error)),
        }
        if let Some(model) = &self.args.model {
            looks.push(self.try_call(model, &key).await);
        }
    }

    async fn try_call(&self, model: &str, key: &str) -> Look {
        let body = json!({
            "model": model, "max_completion_tokens": 64, "messages": [{"role": "user", "content": "Say hello."}],
        });
        let request = self.http.post(format!("{}/chat/completions", self.base_url)).bearer_auth(key);
        let sent_at = Instant::now();
        let answer = self.send(request.header("content-type", "application/json").body(body.to_string())).await;
        match answer {
            Ok(answer) if answer.status == 200 => {
                let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
                let ms = sent_at.elapsed().as_millis();
                let (provider, cost) = (header("x-weir-provider"), header("x-weir-cost-usd"));
                ok("trial call", format!("{model}: {provider} answered in {ms} ms for {cost} USD"))
            }
            Ok(answer) => fail("trial call", format!("{model}: {}", answer.message())),
            Err(error) => fail("trial call", format!("{model}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::{Running, Settings, serve};

    fn args(base_url: String, admin_key: &str, api_key: &str, model: Option<&str>) -> DoctorArgs {
        let deployment = Deployment::at(base_url, admin_key);
        DoctorArgs { deployment, api_key: Some(api_key.to_owned()), model: model.map(str::to_owned) }
    }

    fn verdicts(looks: &[Look]) -> Vec<(&str, Verdict)> {
        looks.iter().map(|look| (look.subject, look.verdict)).collect()
    }

    #[tokio::test]
    async fn a_server_that_works_is_well_and_wrong_keys_are_named() {
        let running: Running = serve(&Settings::default()).await.unwrap();
        let base_url = format!("http://{}/v1", running.address().unwrap());
        let (admin_key, api_key) = (running.admin_key.expose().to_owned(), running.project_key.expose().to_owned());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = running.run(async { drop(stopped.await) });
        let looked = async {
            let well = doctor(&args(base_url.clone(), &admin_key, &api_key, Some("simulator"))).await;
            let wrong = doctor(&args(base_url.clone(), "wrong", "sk-weir-wrong", None)).await;
            drop(stop);
            (well, wrong)
        };
        let ((), (well, wrong)) = tokio::join!(served, looked);
        assert!(well.iter().all(|look| look.verdict == Verdict::Ok), "{well:?}");
        assert_eq!(well.last().map(|look| look.subject), Some("trial call"));
        let failed: Vec<_> = verdicts(&wrong).into_iter().filter(|(_, verdict)| *verdict == Verdict::Fail).collect();
        assert_eq!(failed, [("admin key", Verdict::Fail), ("API key", Verdict::Fail)]);
    }

    #[tokio::test]
    async fn wrong_entries_and_a_foreign_server_are_named() {
        let text = "ok, but the models file has 2 errors; `weir models check` shows them\n";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = axum::serve(listener, Router::new().route("/healthz", get(move || async move { text })));
        let args = args(base_url, "admin", "key", None);
        let looks = tokio::select! {
            looks = doctor(&args) => looks,
            _ = server => panic!("the server ended"),
        };
        let models = looks.iter().find(|look| look.subject == "models file").unwrap();
        assert_eq!((models.verdict, models.text.as_str()), (Verdict::Warn, text.trim()));
        assert!(verdicts(&looks).contains(&("routing", Verdict::Warn)), "{looks:?}");
    }

    #[tokio::test]
    async fn nothing_else_is_looked_at_where_nothing_answers() {
        let looks = doctor(&args("http://127.0.0.1:1/v1".to_owned(), "admin", "key", None)).await;
        assert_eq!(verdicts(&looks), [("base URL", Verdict::Ok), ("reachable", Verdict::Fail)]);
    }
}
